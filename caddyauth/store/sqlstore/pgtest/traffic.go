package pgtest

import "encoding/binary"

// Traffic is what a client has asked of PostgreSQL on one connection.
type Traffic struct {
	// Statements were executed. Those of a transaction's beginning and end count, too.
	Statements int
	// Trips are how often the client waited for the server: once for all that it sent together.
	Trips int
}

// Minus returns what was asked since before.
func (t Traffic) Minus(before Traffic) Traffic {
	return Traffic{Statements: t.Statements - before.Statements, Trips: t.Trips - before.Trips}
}

// counter reads the frontend's messages of one connection (PostgreSQL protocol 3.0, chapter
// "Message Formats"). An encrypted connection cannot be read.
type counter struct {
	Traffic
	begun bool   // the startup message, which has no type, has passed
	head  []byte // of a message that has not come whole
	skip  int    // bytes left of a message whose head was read
}

// protocolVersion is the code of the startup message; requests for encryption have others.
const protocolVersion = 3 << 16

// read counts the messages that begin in data.
func (c *counter) read(data []byte) {
	for len(data) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(data))
			c.skip, data = c.skip-n, data[n:]
			continue
		}
		c.head, data = append(c.head, data[0]), data[1:]
		c.readHead()
	}
}

// readHead takes a message's head when it is whole: its type and length, or length and code before
// the startup message.
func (c *counter) readHead() {
	switch {
	case c.begun && len(c.head) == 5:
		c.count(c.head[0])
		c.skip = int(binary.BigEndian.Uint32(c.head[1:])) - 4
	case !c.begun && len(c.head) == 8:
		c.begun = binary.BigEndian.Uint32(c.head[4:]) == protocolVersion
		c.skip = int(binary.BigEndian.Uint32(c.head)) - 8
	default:
		return
	}
	c.head = c.head[:0]
}

func (c *counter) count(message byte) {
	switch message {
	case 'Q': // Query: a statement, and the client waits
		c.Statements++
		c.Trips++
	case 'E': // Execute
		c.Statements++
	case 'S': // Sync: the client waits
		c.Trips++
	}
}
