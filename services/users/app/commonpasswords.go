package app

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
)

// CommonPasswords is a list of passwords that are tried first, as sorted prefixes (32 bits) of SHA-256: four bytes an entry. With
// a hundred thousand entries, one innocent text in 40,000 is taken for one of them.
type CommonPasswords struct {
	prefixes []byte // big-endian uint32, ascending
}

//go:generate go run commonpasswords_gen.go

//go:embed commonpasswords.bin
var commonPasswords string

// builtInCommonPasswords is the list that commonpasswords_gen.go made.
func builtInCommonPasswords() (CommonPasswords, error) {
	return ReadCommonPasswords(strings.NewReader(commonPasswords))
}

// NewCommonPasswords makes a list of passwords in clear. Those that are too short to be a part of any accepted password are left out.
func NewCommonPasswords(passwords []string) CommonPasswords {
	var keys []uint32
	for _, p := range passwords {
		if p = strings.ToLower(strings.TrimSpace(p)); len(p) >= shortestStem {
			keys = append(keys, key(p))
		}
	}
	slices.Sort(keys)
	var list CommonPasswords
	for _, k := range slices.Compact(keys) {
		list.prefixes = binary.BigEndian.AppendUint32(list.prefixes, k)
	}
	return list
}

// ReadCommonPasswords reads what WriteTo wrote.
func ReadCommonPasswords(r io.Reader) (CommonPasswords, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return CommonPasswords{}, err
	}
	list := CommonPasswords{data}
	for i := 1; i < list.Len(); i++ {
		if list.at(i-1) >= list.at(i) {
			return CommonPasswords{}, errors.New("the list of common passwords is not sorted")
		}
	}
	if len(data)%4 != 0 {
		return CommonPasswords{}, errors.New("the list of common passwords is cut off")
	}
	return list, nil
}

// WriteTo writes the list.
func (list CommonPasswords) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(list.prefixes)
	return int64(n), err
}

// Len is how many entries there are.
func (list CommonPasswords) Len() int { return len(list.prefixes) / 4 }

func (list CommonPasswords) at(i int) uint32 { return binary.BigEndian.Uint32(list.prefixes[4*i:]) }

func key(password string) uint32 {
	sum := sha256.Sum256([]byte(password))
	return binary.BigEndian.Uint32(sum[:])
}

// contains reports whether exactly this text, in lower case, is on the list.
func (list CommonPasswords) contains(text string) bool {
	k := key(text)
	low, high := 0, list.Len()
	for low < high {
		mid := (low + high) / 2
		if list.at(mid) < k {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < list.Len() && list.at(low) == k
}

// A password of ten characters with four of them taken off at its ends leaves six.
const (
	mostTrimmed  = 4
	shortestStem = minPassword - mostTrimmed
)

// Suggests reports whether a text, in lower case, is on the list, or is one of it in disguise: with digits for letters, written
// twice, or with up to four digits and signs before and after it. That is how people make "football" long enough, and what lists of
// leaked passwords are full of (NIST SP 800-63B, section 3.1.1.2, has "derivatives thereof" refused).
func (list CommonPasswords) Suggests(text string) bool {
	candidates := []string{text}
	if half := text[:len(text)/2]; text == half+half {
		candidates = append(candidates, half)
	}
	for _, stem := range []string{strings.TrimFunc(text, notLetter), strings.TrimLeftFunc(text, notLetter), strings.TrimRightFunc(text, notLetter)} {
		if len(text)-len(stem) <= mostTrimmed {
			candidates = append(candidates, stem)
		}
	}
	return slices.ContainsFunc(candidates, func(c string) bool { return list.contains(c) || list.contains(letters.Replace(c)) })
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) }

// letters undoes the usual digits and signs for letters.
var letters = strings.NewReplacer("4", "a", "@", "a", "3", "e", "1", "i", "!", "i", "0", "o", "$", "s", "5", "s", "7", "t", "+", "t")
