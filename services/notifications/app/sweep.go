package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"souk/internal/logs"
)

// Files are mails that were written to a folder.
type Files interface {
	// Delete removes a mail's file, if there is one.
	Delete(m Mail) error
	// Keep removes the files of mails that are not known any more, and those older than age.
	Keep(age time.Duration, known func([]uuid.UUID) (map[uuid.UUID]bool, error)) error
}

// Erasures tells whose files must go.
type Erasures interface {
	// Erased lists the mails that were erased within the given time: id, kind and time of the request.
	Erased(ctx context.Context, within time.Duration) ([]Mail, error)
	// Known are those of the ids whose mails are in the log and not erased.
	Known(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error)
}

const (
	sweepEvery  = 2 * time.Second
	sweepAllFor = time.Hour   // between looks at every file
	sweepBack   = time.Minute // for how long what was erased is looked for, as its file may just be being written
)

// Sweep deletes the files of erased users, and files older than keep, until ctx ends. Each instance sweeps the folder
// that it can reach, and sweeps all of it when it starts: what was erased while none ran goes too.
func Sweep(ctx context.Context, files Files, erasures Erasures, keep func() time.Duration, log *slog.Logger) {
	all := time.Time{} // when the next look at every file is due
	var last time.Time // when the last look that succeeded began
	for ctx.Err() == nil {
		var err error
		now := time.Now()
		if now.After(all) {
			err = files.Keep(keep(), func(ids []uuid.UUID) (map[uuid.UUID]bool, error) { return erasures.Known(ctx, ids) })
			if err == nil {
				all = now.Add(sweepAllFor)
			}
		} else {
			err = sweepErased(ctx, files, erasures, now.Sub(last)+sweepBack)
		}
		if err == nil {
			last = now
		} else if ctx.Err() == nil {
			log.Warn("files of mails are not tidied for now", logs.Err(err))
		}
		pause(ctx, sweepEvery)
	}
}

func sweepErased(ctx context.Context, files Files, erasures Erasures, within time.Duration) error {
	mails, err := erasures.Erased(ctx, within)
	if err != nil {
		return err
	}
	for _, m := range mails {
		if err := files.Delete(m); err != nil {
			return err
		}
	}
	return nil
}
