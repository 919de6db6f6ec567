package spans

// The names of OpenTelemetry's semantic conventions: for resources, for messaging systems and RabbitMQ (in development
// still), and for HTTP clients. What they lack has names of our own, under composerp.
const (
	serviceName     = "service.name"
	serviceVersion  = "service.version"
	serviceInstance = "service.instance.id"

	system        = "messaging.system"
	operationName = "messaging.operation.name"
	operationType = "messaging.operation.type"
	destination   = "messaging.destination.name" // of a producer "exchange:routing key", of a consumer the queue
	routingKey    = "messaging.rabbitmq.destination.routing_key"
	messageID     = "messaging.message.id"
	conversation  = "messaging.message.conversation_id"
	batchCount    = "messaging.batch.message_count"

	httpMethod    = "http.request.method"
	httpStatus    = "http.response.status_code"
	serverAddress = "server.address"

	eventType = "composerp.event.type"
	aggregate = "composerp.aggregate.id"
	attempt   = "composerp.attempt"
	outcome   = "composerp.outcome"
)

// Values of operationName and operationType.
const (
	opSend    = "send"
	opProcess = "process"
)
