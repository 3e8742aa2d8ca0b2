package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/uuid"

	"souk/services/notifications/app"
)

// Files are mails in a folder, for where there is no SMTP server: messages as RFC 5322 has them, readable by their
// owner alone, named <UTC time of the event>-<kind>-<id>.eml:
//
//	20261123T190420.123Z-verify_email-0193589e-7b4c-5e3a-9d43-2f6c1c0a5f10.eml
//
// The name follows from the event, a file appears whole or not at all, and one that is there is never written again:
// so each mail is there exactly once, whoever crashes when.
type Files struct{ Dir string }

const nameTime = "20060102T150405.000Z"

var fileName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z-[a-z_]+-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.eml$`)

func (f Files) path(m app.Mail) string {
	return filepath.Join(f.Dir, fmt.Sprintf("%s-%s-%s.eml", m.RequestedAt.UTC().Format(nameTime), m.Kind, m.ID))
}

func (f Files) open(from netmail.Address) (app.Session, error) {
	if f.Dir == "" {
		return nil, &app.Failure{Reason: "no-way-out", Said: "neither smtp.host nor SOUK_MAIL_DIR is set", Down: true, Waits: true}
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return nil, unwritable(err)
	}
	return folder{f, from}, nil
}

// Delete removes a mail's file, if there is one.
func (f Files) Delete(m app.Mail) error {
	if f.Dir == "" {
		return nil
	}
	if err := os.Remove(f.path(m)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// halfWritten is the pattern of files that are being written.
const halfWritten = ".writing-*"

// Keep deletes the files of mails that may says no to, those older than the given age, and what a crash left half
// written. Files of other names stay.
func (f Files) Keep(age time.Duration, may func([]uuid.UUID) (map[uuid.UUID]bool, error)) error {
	entries, err := os.ReadDir(f.Dir)
	if f.Dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	found := map[string]uuid.UUID{}
	var ids []uuid.UUID
	var problems []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone since
		}
		old := time.Since(info.ModTime())
		half, _ := filepath.Match(halfWritten, e.Name())
		name := fileName.FindStringSubmatch(e.Name())
		switch {
		case half && old > time.Hour, name != nil && old > age:
			problems = append(problems, os.Remove(filepath.Join(f.Dir, e.Name())))
		case name != nil:
			id := uuid.MustParse(name[1])
			found[e.Name()], ids = id, append(ids, id)
		}
	}
	known, err := may(ids)
	if err != nil {
		return errors.Join(append(problems, err)...)
	}
	for name, id := range found {
		if !known[id] {
			problems = append(problems, os.Remove(filepath.Join(f.Dir, name)))
		}
	}
	return errors.Join(problems...)
}

// folder is a session that writes files.
type folder struct {
	Files
	from netmail.Address
}

// Sent implements app.Session.
func (f folder) Sent(m app.Mail) (bool, error) {
	_, err := os.Lstat(f.path(m))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, unwritable(err)
	}
	return err == nil, nil
}

// Send implements app.Session. It need not be handed over: who writes a mail a second time writes nothing, and the file
// of a mail that is erased meanwhile is swept away.
func (f folder) Send(_ context.Context, m app.Mail, c app.Content, _ func(context.Context, time.Duration) error) error {
	text, err := compose(f.from, m, c)
	if err != nil {
		return err
	}
	if err := f.write(f.path(m), text); err != nil {
		return unwritable(err)
	}
	return nil
}

// write links the finished file to its name, which fails if that is taken (renaming would replace it). It does not wait for
// the disk: this stands in for a mail server in development, and a mail outlives the process, if not the machine's fall.
func (f folder) write(path string, text []byte) error {
	draft, err := os.CreateTemp(f.Dir, halfWritten) // 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(text)
	err = errors.Join(err, draft.Close())
	if err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// filesAtOnce are recorded together.
const filesAtOnce = 100

// Batch implements app.Session.
func (folder) Batch() int { return filesAtOnce }

func (folder) Close() {}

func unwritable(err error) *app.Failure {
	return &app.Failure{Reason: "folder-unwritable", Said: err.Error(), Down: true, Waits: true}
}
