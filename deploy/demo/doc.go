// Package demo simulates the business around Composerp: a shop with a warehouse, a web shop and two stores, its
// suppliers and its buyer; or the days of a real till's file with the same kind of suppliers.
//
// The simulation uses Composerp from outside. Its tills and its warehouse publish events, some through the log and
// some straight over AMQP. Its suppliers are a real HTTP server that takes procurement's orders. Its buyer decides the
// orders that policy leaves to a person. What the fleet makes of it is read from the database.
//
// # Business time
//
// Days pass one after another (Simulation.Run). A day opens, when goods arrive; it trades; and it closes, when goods
// are counted, thrown away and sent to the stores. Each part is published, and the next begins once the fleet has
// handled everything that followed from it. Orders that the day's sales cause are therefore made, approved and sent
// before the next day opens, and lead times are days of business at any speed.
//
// # What is the same each time
//
// The same seed gives the same customers and the same mishaps, and the same answer of a supplier to the same order,
// whatever was asked before: each is drawn from the seed, the date and its subject. What is sold follows from the
// customers and the stock, which follows from what was ordered, and so from the fleet. Events of one part of a day are
// handled at the same time: which of two orders gets the lower number may differ, and so does everything that the clock
// measures.
package demo
