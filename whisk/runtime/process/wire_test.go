package process

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"millrace/whisk/runtime"
)

// answerFrame is a frame as launchers write it.
func answerFrame(t frameType, id uint32, body string) string {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	head = binary.LittleEndian.AppendUint32(append(head, byte(t)), id)
	return string(head) + body
}

func TestFrames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	text := answerFrame(frameReady, 0, "") + answerFrame(frameOK, 1, "short") + answerFrame(frameFailed, 2, long) + answerFrame(frameOK, 3, "last")
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytewise": iotest.OneByteReader(strings.NewReader(text))} {
		f := &frameReader{r: r, limit: 100}
		for n, want := range []answer{
			{frameReady, 0, []byte{}, 0}, {frameOK, 1, []byte("short"), 5}, {frameFailed, 2, []byte(long[:100]), 10_000}, {frameOK, 3, []byte("last"), 4},
		} {
			got, err := f.next()
			if err != nil || got.Type != want.Type || got.ID != want.ID || !bytes.Equal(got.Body, want.Body) || got.Size != want.Size {
				t.Errorf("%s, frame %d: %v, %+v", name, n, err, got)
			}
		}
		if _, err := f.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: error at the end is %v", name, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(answerFrame(frameOK, 1, "body") + answerFrame(frameFailed, 2, "")))
	f.Add([]byte{255, 255, 255, 255, 4, 1, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &frameReader{r: bytes.NewReader(data), limit: 64}
		for {
			a, err := r.next()
			if err != nil {
				return
			}
			if len(a.Body) > 64 || len(a.Body) > a.Size {
				t.Fatalf("%+v", a)
			}
		}
	})
}

// No text of a caller can pass for another field of what we say.
func TestSaidTexts(t *testing.T) {
	t.Parallel()
	in := &runtime.Run{Namespace: "n", Action: "a", Version: "v", ActivationID: "i", TransactionID: "t\x00__OW_API_KEY\x00", APIKey: "k"}
	if got := string(appendRun(nil, in)); got != "n\x00a\x00v\x00i\x00t__OW_API_KEY\x00\x00k" {
		t.Errorf("%q", got)
	}
}
