package rowfile

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"
)

// The bounds of a workbook, in bytes. It is held packed; sheets and shared texts of more than inMemory lie in
// temporary files while they are read; all else is held unpacked. archive/zip fails where more comes out of a part
// than the part says of itself, so what is said can be relied on.
const (
	maxPacked    = 64 << 20
	maxUnpacked  = 2 << 30
	maxTexts     = 64 << 20 // of shared texts; each costs some memory of its own
	maxOther     = 16 << 20 // of what is neither a sheet nor shared texts
	inMemory     = 4 << 20
	maxColumns   = 1000
	sharedText   = "xl/sharedstrings.xml"
	sheetsFolder = "xl/worksheets/sheet"
)

// workbook is an .xlsx. Cells are what is stored, not what is shown: a number with all its digits, a time as the
// number of days that Excel counts, and of a formula the value that was computed last.
type workbook struct {
	book  *excelize.File
	rows  *excelize.Rows
	since bool // days are counted from 1904
	row   int64
	rec   Record
}

// workbookRows begins to read a sheet.
func (s *File) workbookRows(f Format, header func([]string) error) (Records, error) {
	w, err := s.openWorkbook(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.name, err)
	}
	s.book = w
	columns := f.Columns
	if columns == nil {
		first, err := w.Next()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the sheet %q is empty; want a row with the columns' names", s.found.Sheet)
		}
		if err != nil {
			return nil, s.Failure(err, 0)
		}
		columns = append([]string(nil), first.Values...)
	}
	if err := checkHeader(columns); err != nil {
		return nil, s.Failure(err, 0)
	}
	if err := header(columns); err != nil {
		return nil, err
	}
	s.found.Header = columns
	w.rec.Names, w.rec.Order, w.rec.Uniform = columns, nameOrder(columns), true
	return w, nil
}

func (s *File) openWorkbook(f Format) (*workbook, error) {
	if s.size > maxPacked {
		return nil, fmt.Errorf("the workbook has %d bytes, at most %d are read; save the sheet as CSV", s.size, maxPacked)
	}
	if !s.checked {
		if err := s.checkParts(); err != nil {
			return nil, err
		}
		s.checked = true // a file that is changed later has another digest
	}
	book, err := excelize.OpenReader(s, excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnpacked, UnzipXMLSizeLimit: inMemory})
	if err != nil {
		return nil, fmt.Errorf("the workbook is damaged or protected by a password: %w", err)
	}
	w := &workbook{book: book}
	sheets := book.GetSheetList()
	s.found.Sheet = f.Sheet
	if f.Sheet == "" && len(sheets) > 0 {
		s.found.Sheet = sheets[0]
	}
	if w.rows, err = book.Rows(s.found.Sheet); err != nil {
		w.close()
		return nil, fmt.Errorf("the workbook has no sheet %q; it has %q", s.found.Sheet, sheets)
	}
	props, err := book.GetWorkbookProps()
	w.since = err == nil && props.Date1904 != nil && *props.Date1904
	return w, nil
}

// checkParts refuses a workbook whose parts are larger than they may be, before one of them is unpacked, or whose XML
// is damaged: excelize takes the first fault for the sheet's end.
func (s *File) checkParts() error {
	parts, err := zip.NewReader(s.file, s.size)
	if err != nil {
		return errors.New("the file is no whole .xlsx workbook; an .xls of old Excel, or one with a password, must be saved as .xlsx or CSV")
	}
	var all, other uint64
	for _, part := range parts.File {
		name, size := partName(part), part.UncompressedSize64
		all += size
		switch {
		case name == sharedText && size > maxTexts:
			return fmt.Errorf("the workbook's texts have %d bytes unpacked, at most %d are read; save the sheet as CSV", size, maxTexts)
		case name != sharedText && !strings.HasPrefix(name, sheetsFolder):
			other += size
		}
		if size > maxUnpacked || all > maxUnpacked || other > maxOther {
			return fmt.Errorf("the workbook has too much in it: more than %d bytes unpacked, or %d beside its sheets; save the sheet as CSV", maxUnpacked, maxOther)
		}
	}
	for _, part := range parts.File {
		if name := partName(part); name == sharedText || strings.HasPrefix(name, sheetsFolder) {
			if err := checkXML(part); err != nil {
				return fmt.Errorf("the workbook is damaged: reading its part %s: %w", part.Name, err)
			}
		}
	}
	return nil
}

func partName(part *zip.File) string { return strings.ToLower(strings.ReplaceAll(part.Name, `\`, "/")) }

func checkXML(part *zip.File) error {
	text, err := part.Open()
	if err != nil {
		return err
	}
	defer text.Close()
	tokens := xml.NewDecoder(text)
	tokens.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		if _, err := tokens.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// close removes the temporary files.
func (w *workbook) close() {
	if w.rows != nil {
		_ = w.rows.Close()
	}
	_ = w.book.Close()
}

// Next gives the next row that has something in it. A row of a sheet ends with its last cell that has.
func (w *workbook) Next() (*Record, error) {
	for w.rows.Next() {
		w.row++
		cells, err := w.rows.Columns()
		if err != nil {
			return nil, err
		}
		if len(cells) == 0 {
			continue
		}
		w.take(cells)
		return &w.rec, nil
	}
	if err := w.rows.Error(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

func (w *workbook) take(cells []string) {
	w.rec.Line, w.rec.Problem = w.row, nil
	if len(cells) > maxColumns {
		w.rec.Raw, w.rec.Values = "", w.rec.Values[:0]
		w.rec.Problem = Reject(ReasonTooLong, "the row has more than %d columns", maxColumns)
		return
	}
	var raw bytes.Buffer
	line := csv.NewWriter(&raw)
	_ = line.Write(cells) // a buffer takes everything
	line.Flush()
	w.rec.Raw = strings.TrimSuffix(raw.String(), "\n")
	for len(cells) < len(w.rec.Names) {
		cells = append(cells, "")
	}
	w.rec.Values = cells
	if len(w.rec.Raw) > maxRow {
		w.rec.Raw, w.rec.Problem = "", Reject(ReasonTooLong, "the row has more than %d bytes", maxRow)
	}
	w.rec.fit()
}

// serial reads days since 1900 or 1904, with the time of day behind the point, to the nearest millisecond: a double
// keeps no more. The first 60 days are none: Excel counts a 29 February 1900, and small numbers are rarely times.
func (w *workbook) serial(text string) (time.Time, bool) {
	days, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(days) || days < 61 || days >= 2958466 { // 31 December 9999
		return time.Time{}, false
	}
	at, err := excelize.ExcelDateToTime(days, w.since)
	return at.Round(time.Millisecond), err == nil
}
