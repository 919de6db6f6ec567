// Package faults holds the fleet against faults of its servers and of the network, one by one, on real servers: the
// broker killed, stopped and robbed of its disk; the nodes of a cluster killed and restarted; the database crashed,
// full, out of connections, in recovery; connections cut, held and slowed. It has tests only, which take minutes: make
// test-faults. Package chaos does the same at random, to processes.
//
// Each test runs a whole fleet in its own process, on servers or through proxies of its own, and two publishers that
// run on through every fault: one commits events to the log, the other publishes them straight to the exchange. A fault
// is survived when
//
//   - an event published after the heal, over the log or straight, is on hand in the read model within the limit;
//   - every event whose publisher had its confirmation has moved stock, before the next fault;
//   - no message has used up an attempt;
//   - every slot consumes again;
//
// and, at the end, when the audit proves that nothing is lost and nothing is doubled.
package faults
