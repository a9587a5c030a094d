package registration

import "unicode"

// maxMarks is how many marks may stand on one letter. No language needs more; towers of them cover the
// lines around.
const maxMarks = 4

// checkName refuses a name that does not show people what it is. They read it on the page that asks
// for their consent.
func checkName(name string) error {
	seen, marks := name == "", 0
	for _, r := range name {
		if !isSeen(r) {
			return wrong("client_name: it holds a character that is not seen.")
		}
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		if marks > maxMarks {
			return wrong("client_name: it has more than %d marks on one letter.", maxMarks)
		}
		seen = seen || unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
	}
	if !seen {
		return wrong("client_name: there is nothing to be seen in it.")
	}
	return nil
}

// isSeen reports whether a character shows. Format characters turn the text around them (bidirectional
// overrides), or are not seen; some letters and marks are blank, too (Unicode's
// Default_Ignorable_Code_Point, and the blank of Braille).
func isSeen(r rune) bool {
	const (
		blankBraille = '\u2800'
		textStyle    = '\ufe0e' // choose between the two
		emojiStyle   = '\ufe0f' // pictures of a sign
	)
	switch r {
	case textStyle, emojiStyle:
		return true
	case blankBraille:
		return false
	}
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
