package rabbitmq

// RenameUser makes the session publish as another user than the broker knows.
func RenameUser(s *Session, user string) { s.publishing.user = user }
