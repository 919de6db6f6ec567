package inbox

// RotationLock and ClaimEvents are what broken variants are compared with.
const RotationLock = rotationLock

var ClaimEvents = string(claimEvents)
