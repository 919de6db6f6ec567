// Package rowfile reads files of rows as tills, warehouses and Excel write them: CSV, NDJSON and .xlsx. The import of
// events and that of master data and counts read through it, so that both take the same files by the same options.
//
// What a file says of itself, it is believed: a byte order mark, UTF-16, gzip, line ends that are returns alone, and
// Excel's line `sep=;`. Where the Format does not name the delimiter, it is the one of , ; tab | with which the header
// has the columns that are wanted. How numbers are written is never guessed, because 1,250 is two numbers: an error
// names the option that would read it.
//
// # What holds
//
//   - Every row is a Record, whole or with the Rejection that says why it is none. A bad row costs itself alone.
//   - Memory does not grow with the file: a row is at most 1 MiB. A workbook is held packed, at most 64 MiB of it, and
//     its parts are bounded by what they say of themselves and by what comes out (see openWorkbook).
//   - Trailing columns without a name and without a value are none. A row may have empty fields behind the header's.
package rowfile
