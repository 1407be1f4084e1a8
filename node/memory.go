package node

// MemoryConfig bounds what a node takes beside its store. Zero values are what is usual.
type MemoryConfig struct {
	// RequestBytes bounds requests of clients that are being read, in each protocol. 0: 256 MiB.
	RequestBytes int64

	// AnswerBytes bounds answers that clients have still to take, in each protocol. 0: 256 MiB.
	AnswerBytes int64

	// MessageBytes bounds messages of other nodes. 0: as RequestBytes, and at least the longest.
	MessageBytes int64

	// QueueBytes bounds what waits for all other nodes together, in equal shares. HintBytes bounds
	// each share too. 0: HintBytes alone.
	QueueBytes int64

	// Conns bounds the connections of clients, in each protocol. 0: 8192. Where few files may be
	// open there are fewer.
	Conns int
}
