package stack

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Progress shows the work of a Builder: a bar a server on a terminal, plain
// lines elsewhere.
type Progress interface {
	Notice(text string)    // one line, at any time
	Begin(total int)       // total servers are to be made
	Task(name string) Task // one of them starts
	End()                  // all of them ended
}

// Task shows the work on one server. Its methods are called from one goroutine.
type Task interface {
	Note(text string)     // what is being done
	Step(done, total int) // how far: packages compiled
	Done(took time.Duration, err error)
}

// NewProgress writes to out, with bars if it is a terminal.
func NewProgress(out *os.File) Progress {
	if term.IsTerminal(int(out.Fd())) {
		return &bars{out: out}
	}
	return &lines{out: out}
}

// lines prints a line when a task starts or ends, and every 20 s between.
type lines struct {
	out   io.Writer
	mu    sync.Mutex
	total int
	ended int
}

const heartbeat = 20 * time.Second

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}

func (l *lines) Notice(text string) { l.printf("  %s", text) }

func (l *lines) Begin(total int) {
	l.total = total
	l.printf("to build or fetch, once: %d servers", total)
}

func (l *lines) End() {}

func (l *lines) Task(name string) Task {
	l.printf("  %s: started", name)
	return &lineTask{lines: l, name: name, started: time.Now(), said: time.Now()}
}

type lineTask struct {
	*lines
	name          string
	note          string
	started, said time.Time
}

func (t *lineTask) Note(text string) { t.note = text; t.say("") }

func (t *lineTask) Step(done, total int) { t.say(fmt.Sprintf(" %d of %d packages", done, total)) }

func (t *lineTask) say(how string) {
	if time.Since(t.said) >= heartbeat {
		t.said = time.Now()
		t.printf("  %s: %s%s, %s", t.name, t.note, how, time.Since(t.started).Round(time.Second))
	}
}

func (t *lineTask) Done(took time.Duration, err error) {
	if err != nil {
		t.printf("  %s: failed after %s", t.name, took.Round(time.Second))
		return
	}
	t.mu.Lock()
	t.ended++
	left := t.total - t.ended
	t.mu.Unlock()
	t.printf("  %s: ready in %s, %d left", t.name, took.Round(time.Second), left)
}

// bars draws a bar for each server at work and one for the whole.
type bars struct {
	out     *os.File
	p       *mpb.Progress
	overall *mpb.Bar
}

func (b *bars) Notice(text string) {
	if b.p != nil {
		fmt.Fprintf(b.p, "  %s\n", text)
		return
	}
	fmt.Fprintf(b.out, "  %s\n", text)
}

func (b *bars) Begin(total int) {
	fmt.Fprintf(b.out, "to build or fetch, once: %d servers\n", total)
	b.p = mpb.New(mpb.WithOutput(b.out), mpb.WithWidth(32), mpb.PopCompletedMode())
	b.overall = b.p.AddBar(int64(total), mpb.BarPriority(1000), mpb.BarNoPop(),
		mpb.PrependDecorators(decor.Name("all servers", decor.WC{W: 34, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d, "), decor.Elapsed(decor.ET_STYLE_GO)))
}

func (b *bars) End() {
	b.overall.Abort(false)
	b.p.Wait()
	b.p = nil
}

func (b *bars) Task(name string) Task {
	t := &barTask{bars: b}
	t.note.Store("starting")
	t.bar = b.p.AddBar(0,
		mpb.PrependDecorators(decor.Name(name, decor.WC{W: 34, C: decor.DindentRight})),
		mpb.AppendDecorators(
			decor.OnComplete(decor.OnAbort(decor.Any(func(decor.Statistics) string { return t.note.Load().(string) + ", " }), "failed after "), "ready in "),
			decor.Elapsed(decor.ET_STYLE_GO)))
	return t
}

type barTask struct {
	*bars
	bar  *mpb.Bar
	note atomic.Value // string
}

func (t *barTask) Note(text string) { t.note.Store(text) }

func (t *barTask) Step(done, total int) {
	t.note.Store(fmt.Sprintf("%d of %d packages", done, total))
	t.bar.SetTotal(int64(total)+1, false) // the link step is the one more
	t.bar.SetCurrent(int64(done))
}

func (t *barTask) Done(_ time.Duration, err error) {
	if err != nil {
		t.bar.Abort(false)
		return
	}
	t.bar.SetTotal(-1, true)
	t.overall.Increment()
}
