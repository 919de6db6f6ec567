package inbox

// RotationLock and ClaimEvents are what broken variants are compared with. The plans of the statements are checked.
const RotationLock = rotationLock

var (
	ClaimEvents = string(claimEvents)
	AreHandled  = string(areHandled)
)
