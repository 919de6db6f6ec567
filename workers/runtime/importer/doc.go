// Package importer brings a file of rows into the log: a till's export, a warehouse's list, another system's events.
// A mapping says what a row means; the rows that mean nothing end in a file of their own, with the reason.
//
// # What holds
//
//   - Every row ends as one event or as one line of the rejects file. Neither is lost or there twice, whatever is
//     killed whenever.
//   - Importing again changes nothing. An event's id is a UUIDv5 of the tenant, the source and the row's key (below),
//     and its body follows from row and mapping alone; so the log knows it again. Neither quoting nor the order of
//     columns nor line ends change a key, nor does what stands before or after the row.
//   - A row whose key is in the log is never a second event: it is a duplicate or a conflict.
//   - Memory does not grow with the file. One row is at most 1 MiB, and at most two batches of rows are held at
//     once.
//   - Events enter the log in the file's order.
//
// # What makes two rows the same event
//
// The key of a row is the names of its key columns with their values, those that are empty left out. `identity` in the
// mapping names the columns:
//
//   - identity: [Receipt, Line]. Two rows with one key are one event, wherever they stand.
//   - Without it the key is the columns that the event is made of: those that its tenant, source, time, aggregate and
//     payload are filled from, but not the ones that only describe (itemName, reason, userId, correlationId), nor
//     those that only decide which rule takes the row. A till may sell the same twice on one receipt: the how-many-eth
//     row with this key that the mapping makes an event of is part of the key.
//   - identity: all. The key is every column of the file, and the how-many-eth row with it, as in version 0.1.
//
// A row whose key is in the log is held against the event there. Where both say the same but for what only describes,
// it is a duplicate: an item was renamed, a receipt printed again. Where they differ in more, it is a conflict: the row
// goes to the rejects file with both values, the log stays as it is, and an adjustment corrects the stock. The importer
// does not correct by itself, because it cannot know which of two exports is wrong.
//
// # Files imported by version 0.1
//
// That version's key was every column. An import derives this id beside its own, and holds a row against the event of
// either. What can go wrong, and what then:
//
//   - The file that 0.1 has imported comes again: each row is known by its old id. Where the reader now takes blanks
//     off a code, the comparison takes them off the logged event, too.
//   - Version 0.1 was interrupted in the file: the import begins anew, because rows may be counted otherwise (what
//     import_progress has is marked with the reader's version); what is in the log is known by its old id.
//   - A later export has an old row with another value in a column that is no key: its old id is another one, and its
//     new id is in no log. It counts twice, as it did with 0.1: the log does not have the columns by which to find it.
//     From the first import by this version on, it is known.
//   - Version 0.1 has logged one of two rows with one key: that one is known by its old id, the other is a new event.
//   - Killed between the two look-ups: they are in the batch's transaction, as is the admission.
//   - Two imports at once admit one row, one of 0.1 and one of this version: a fleet is upgraded while no import
//     runs; else the row may count twice.
//
// # How
//
// The file is read twice. The first reading, the survey, sorts the keys of all rows, that of this version and that of
// 0.1, as hashes of 128 bits and on disk where they are many (24 bytes a key, in nameless temporary files). So it finds
// which rows are not the first of their key. That counts exactly without trusting that rows which belong together stand
// together: the real file this was made for takes an invoice up again after others. The survey also finds a file that
// is cut off or damaged before anything of it is imported, and takes its digest. It costs some microseconds a row.
//
// The second reading makes events and writes them in batches, each in one transaction: admission to the log, and a
// row of import_progress that says how many rows of the file are done and how many bytes of the rejects file count.
// While a batch is written, the next is read.
//
// # History
//
// With Options.History each event has metadata.history: workers move stock and demand by it and order, forecast and
// report nothing because of it. The mark is no part of an event's id, and rows that differ from the log in it alone are
// duplicates: what triggered nothing once never does.
//
// # What fails, and what then
//
//   - Killed before a commit: the transaction is gone. Reject lines of it may be on disk; they lie behind the bytes
//     that count, and the next run cuts them off first.
//   - Killed after a commit: the next start surveys the file, skips the rows that are done, and goes on.
//   - The outcome of a commit is unknown: import_progress is read, and says.
//   - The database is away or others are in the way: the batch is tried again for half a minute.
//   - The rejects file is gone, shortened, or another one is named: everything is read again from the beginning;
//     what is in the log already counts as duplicate, and the rejects are written anew.
//   - Two imports of one file at once: the one that began later takes over (by its term in import_progress, under
//     that row's lock, before it touches the rejects file), and the earlier ends with store.ErrTakenOver.
//   - The file is changed while it is read: the second digest differs, and the import ends with a ChangedError.
//   - The mapping was changed in what it makes of a row that is in the log: the key is the same and the event is not,
//     so the row is rejected as conflict. Nothing is counted twice, where the key's columns are still the same.
//
// What it cannot know: two rows with one key in two different files are one event. Where a till's export overlaps with
// its last one, that is what is wanted; where it is not, the files need different sources, or another identity.
//
// # The mapping
//
// A mapping is YAML. Unknown keys are errors. Here is one with everything in it:
//
//	tenant: demo                      # these five are templates; the first three must be there
//	source: till-${Till}              # the system that says it; tells two tills' equal rows apart
//	timestamp: ${SoldAt}              # business time
//	correlationId: ${Receipt}
//	userId: ${Cashier}
//	identity: [Receipt, Line, Till]   # the columns by which a row is known again; default: those the event is made of
//
//	input:                            # how the file is written; all of it may be left out
//	  delimiter: ";"                  # one character; default: the one that the header has
//	  columns: [Receipt, Till, Cashier, Code, Text, Pieces, Price, SoldAt, Batch]  # only for CSV without a header line
//	  decimal: ","                    # the decimal mark; default "."
//	  thousands: "."                  # between groups of three digits; default nothing
//	  negatives: [6-, (6)]            # ways to write -6 besides that
//	  currency: [€, EUR]              # may stand before or behind a number
//	  timezone: Europe/Berlin         # of times that have none; default UTC
//	  times: ["02.01.2006 15:04", "2006-01-02T15:04:05Z07:00"]  # as Go's package time has them; default RFC 3339
//
//	constants:                        # names with the same value in every row
//	  Location: BERLIN-1
//
//	derive:                           # names with a value made from others of the row
//	  Code: {trim: Code}              # also upper, lower; from here on Code means this
//	  Item: {match: {column: Code, pattern: '^([0-9]{5})-'}}  # the first group, or all that matches; else nothing
//	  Amount: {product: [Pieces, Price]}                      # exact
//	  Change: {negate: Pieces}
//	  Line: {text: "${Receipt}/${Code}"}
//
//	rules:                            # the first that matches decides
//	  - when:                         # all of it must hold
//	      Code: {oneOf: [BAG, TIP]}
//	    reject: not_stocked           # the reason in the rejects file
//	  - when:
//	      Item: {empty: true}
//	    reject: unknown_code
//	  - when:
//	      Text: {matches: '(?i).*(broken|lost).*'}  # all of the value must match
//	      Pieces: {moreThan: 0, lessThan: 1000}
//	      Till: {not: {equals: "0"}}
//	    event: STOCK_ADJUSTED
//	    aggregateId: ${Line}
//	    payload:
//	      adjustmentId: ${Line}
//	      itemId: ${Item}
//	      locationId: ${Location}
//	      quantity: ${Change}
//	      reason: ${Text}
//	  - when:
//	      Receipt: {prefix: WE}
//	    event: RECEIPT_COMPLETED
//	    aggregateId: ${Receipt}
//	    payload:
//	      receiptId: ${Receipt}
//	      itemId: ${Item}
//	      locationId: ${Location}
//	      quantity: ${Pieces}
//	      lotNumber: ${Batch}         # an optional field whose value is empty is left out
//	  - event: SALE_COMPLETED         # without when: every row that comes this far
//	    aggregateId: ${Receipt}
//	    payload:
//	      saleId: ${Receipt}
//	      itemId: ${Item}
//	      locationId: ${Location}
//	      quantity: ${Pieces}
//	      amount: ${Amount}
//	      itemName: ${Text}           # a payload's timestamp that is not named is the event's
//
// A template is text with names in it, ${Name}; a dollar sign is written $$. Numbers are exact decimals, never
// floats. A name is a column of the file, a constant or something derived; what was defined last by a name hides what
// had it before. Values are computed when a rule asks for them: a row that is rejected for its code is not rejected
// for its price. YAML's anchors and aliases may be used, so that two rules can share a payload.
//
// A time without a zone that clocks show twice when they are put back is the earlier of the two; one that they never
// show because they are put forward is counted with the offset from before. Neither is a reason to refuse a sale; the
// report counts both and names the first of each.
//
// In NDJSON the top-level keys of each line are the columns. Without a mapping each line is a whole event, held to
// all that is asked of events from outside, and has its own id.
package importer
