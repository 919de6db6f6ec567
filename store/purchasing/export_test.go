package purchasing

var (
	NoteCreatedSQL     = string(noteCreated)
	ApproveByPolicySQL = string(approveByPolicy)
)
