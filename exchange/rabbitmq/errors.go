package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/certificates"
	"github.com/composerp/composerp/exchange/wording"
)

// The broker's errors by kind, for errors.Is. The texts say what to do.
var (
	ErrBadURL        = errors.New("the broker's URL is not of the form amqp://user:password@host:port/vhost; percent-encode special characters in user, password and vhost")
	ErrUnreachable   = errors.New("the broker is unreachable; start RabbitMQ there, or correct host and port of its URL")
	ErrAccessRefused = errors.New("the broker refuses access; correct user and password of its URL, or give the user permissions on the virtual host")
	ErrVhostMissing  = errors.New("the broker has no such virtual host; create it, or correct the path of its URL")
	// ErrBadCertificate: the connection cannot be encrypted as the URL wants.
	ErrBadCertificate = errors.New("no encrypted connection with the broker")
	ErrTooOld         = errors.New("the broker is too old; RabbitMQ 3.10 or later is needed")
	ErrMissing        = errors.New("the broker has nothing of that name; if it is a queue or an exchange, apply the topology")
	ErrMismatch       = errors.New("the broker holds it with other properties; drain and delete it there and apply again, or give the new one a new name")
	ErrInternal       = errors.New("the broker could not do it, by a fault of its own or under load; try again, and look at its log if it goes on")
	ErrTaken          = errors.New("another connection holds it exclusively; stop that one")

	// ErrSessionLost: the session has ended. Unconfirmed messages are in doubt, unacknowledged ones will be
	// redelivered.
	ErrSessionLost = errors.New("the session with the broker is lost")
	// ErrUnroutable: no queue is bound for this message. No queue has it.
	ErrUnroutable = errors.New("no queue takes this message; apply the topology")
	// ErrNacked: a queue refused the message, because it is full or its replicas are away. Try again.
	ErrNacked = errors.New("the broker could not take the message; look at its disk and at the queue's replicas")
	// ErrUnpublishable: the message breaks a limit of the protocol or of the broker; trying again cannot help.
	ErrUnpublishable = errors.New("the broker will never take this message")
	// ErrConsumerCancelled: the broker ended the consumer, mostly because its queue was deleted.
	ErrConsumerCancelled = errors.New("the broker cancelled the consumer; its queue was deleted, or its leader is away")
	// ErrDrained: the owner cancelled or closed the consumer, and all that had arrived is taken.
	ErrDrained = errors.New("the consumer is cancelled and drained")
	// ErrForeignDelivery: another consumer took the delivery, perhaps of an earlier session.
	ErrForeignDelivery = errors.New("the delivery is not this consumer's to acknowledge; the broker delivers it again")
)

// problems are several errors on one line; errors.Is finds each of them.
type problems []error

func (p problems) Error() string { return strings.ReplaceAll(errors.Join(p...).Error(), "\n", "; ") }

func (p problems) Unwrap() []error { return p }

// explain maps errors of the library and the network to those above, by reply code. The reply text decides only where
// the broker uses one code for two things.
func explain(err error) error {
	var reply *amqp.Error
	advice := certificates.Advice(err, "cacertfile") // of an error about a frame too
	switch {
	case err == nil:
		return nil
	case errors.Is(err, amqp.ErrClosed):
		return ErrSessionLost
	case advice != "":
		return fmt.Errorf("%w: %s (%s)", ErrBadCertificate, advice, lastWords(err))
	case errors.As(err, &reply):
		return explainReply(reply)
	case errors.Is(err, context.Canceled):
		return err
	default:
		return fmt.Errorf("%w (%s)", ErrUnreachable, wording.LastCause(err))
	}
}

// lastWords are the innermost text of an error, or of the one that the library has put into a reply.
func lastWords(err error) string {
	text := wording.LastCause(err)
	return strings.Trim(text[strings.LastIndex(text, ": ")+1:], ` "`)
}

func explainReply(reply *amqp.Error) error {
	kind := ErrUnreachable
	switch reply.Code {
	case amqp.FrameError:
		return fmt.Errorf("%w (%s)", kind, frameError(reply))
	case amqp.AccessRefused:
		kind = ErrAccessRefused
		if strings.Contains(reply.Reason, "exclusive use") {
			kind = ErrTaken
		}
	case amqp.NotAllowed:
		kind = ErrAccessRefused
		if strings.Contains(reply.Reason, "not found") {
			kind = ErrVhostMissing
		}
	case amqp.NotFound:
		kind = ErrMissing
	case amqp.ResourceLocked:
		kind = ErrTaken
	case amqp.InternalError, amqp.ResourceError:
		kind = ErrInternal
	case amqp.PreconditionFailed:
		kind = ErrMismatch
		if !strings.Contains(reply.Reason, "inequivalent arg") {
			return fmt.Errorf("the broker objects: %s", wording.OneLine(reply.Reason))
		}
	}
	if reply.Code == amqp.AccessRefused && !reply.Server {
		return fmt.Errorf("%w (%s)%w", kind, wording.OneLine(reply.Reason), errAssumed)
	}
	return fmt.Errorf("%w (%s)", kind, wording.OneLine(reply.Reason))
}

// errAssumed marks an ErrAccessRefused that the broker has not said, and has no text. RabbitMQ closes the socket
// without a word where a password is wrong, and so does a broker that ends, or that has waited too long for a client
// that was stopped.
var errAssumed = errors.New("")

// frameError returns why a frame could not be read: the library puts the network's error text in such a reply.
func frameError(reply *amqp.Error) string {
	if strings.HasPrefix(reply.Reason, "Exception") {
		return "what answers there does not speak AMQP 0-9-1"
	}
	return wording.OneLine(reply.Reason[strings.LastIndex(reply.Reason, ": ")+1:])
}

// sessionLost is ErrSessionLost with its cause; also ErrAccessRefused, when that was the cause.
func sessionLost(cause error) error {
	if reply, ok := errors.AsType[*amqp.Error](cause); ok {
		if reply.Code == amqp.AccessRefused {
			return fmt.Errorf("%w: %w", ErrSessionLost, explainReply(reply))
		}
		return fmt.Errorf("%w: %d %s", ErrSessionLost, reply.Code, wording.OneLine(reply.Reason))
	}
	if errors.Is(cause, ErrSessionLost) {
		return cause
	}
	return fmt.Errorf("%w: %s", ErrSessionLost, wording.OneLine(cause.Error()))
}
