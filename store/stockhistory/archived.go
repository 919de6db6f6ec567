package stockhistory

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
)

// readArchived names the documents of the movements whose events are in archives.
func (x *Explanation) readArchived(ctx context.Context, db *store.DB, archives *archive.Folder) error {
	missing := map[uuid.UUID][]*Movement{}
	for i := range x.Movements {
		if m := &x.Movements[i]; m.Type == "" {
			missing[m.EventID] = append(missing[m.EventID], m)
		}
	}
	if archives == nil || len(missing) == 0 {
		return nil
	}
	at, err := eventlog.AdmittedAt(ctx, db, slices.Collect(maps.Keys(missing)))
	if err != nil {
		return err
	}
	for _, seq := range slices.Sorted(maps.Values(at)) { // in order, a frame is read once
		err := archives.Frames(seq-1, seq, false, func(rows []archive.Row) error {
			for _, m := range missing[rows[0].EventID] {
				m.Type, m.LoggedAt = rows[0].Type, rows[0].LoggedAt
				m.name([]byte(rows[0].Body))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
