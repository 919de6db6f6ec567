// Package management is a client of RabbitMQ's management API: what AMQP does not offer, or not without cost.
//
// Invariants: errors are those of package rabbitmq, and none contains a password. Every call can be repeated: creating
// an existing thing and deleting a missing one succeed or return ErrMissing, so a crash between two calls needs no
// repair.
package management
