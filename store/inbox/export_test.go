package inbox

// RotationLock and ClaimEvents are those that broken variants are held against.
const RotationLock = rotationLock

var ClaimEvents = string(claimEvents)
