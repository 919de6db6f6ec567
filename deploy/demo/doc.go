// Package demo is a small world around Composerp: a shop with a warehouse that
// sells over the web and two stores, its suppliers, its buyer; or the days of a
// real till's file among the same suppliers.
//
// The world knows Composerp only from outside. Its tills and its warehouse say
// what happened, some of it through the log and some straight to the exchange;
// its suppliers are a real HTTP server that hears what procurement orders; its
// buyer decides what policy leaves to a person. What the fleet does of all this
// is read from the database, as anybody would.
//
// # Business time
//
// Days are lived one after another (Game.Run). A day has a morning, in which goods
// arrive, hours of trade, and an evening in which goods are counted, thrown away
// and sent from place to place. Each part is said, and the next begins when the
// fleet has handled everything that followed from it (store.Owing): orders that
// the day's sales gave rise to are made, approved and sent before the next
// morning. So lead times are days of business however fast they pass.
//
// # What is the same each time
//
// The same seed gives the same wants of customers, the same mishaps, and the
// same word of a supplier about the same order, whatever was asked before: each
// is drawn from the seed, the date and the thing it is about. What is sold
// follows from the wants and what lies on the shelf; that follows from what was
// ordered, and so from the fleet. Within a part of a day the tills speak at the
// same time: which of two orders of one morning gets the lower number is not the
// same each time, nor is anything measured by the clock.
package demo
