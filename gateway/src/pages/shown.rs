//! How pages show text that others chose.

use std::fmt::Display;

/// The longest name that is shown in full; resources allow 80 characters.
const NAME: usize = 80;
/// The longest text that is shown in full; resources allow 200 characters.
const TEXT: usize = 300;

/// A name on one line.
pub(super) fn name(name: impl Display) -> String {
    let name = plain(&name.to_string(), NAME);
    // An application of the logbook surface may have none (FCV-8).
    if name.trim().is_empty() {
        return "(no name)".into();
    }
    name
}

/// A sentence or two.
pub(super) fn text(text: impl Display) -> String {
    plain(&text.to_string(), TEXT)
}

/// Text without characters that reorder, hide or break what stands around them,
/// and not much longer than `max` characters.
fn plain(value: &str, max: usize) -> String {
    let mut visible = value.chars().filter(|&c| !is_invisible(c));
    let mut plain: String = visible.by_ref().take(max).collect();
    if visible.next().is_some() {
        plain.push('…');
    }
    plain
}

/// Control characters, the marks that Unicode's bidirectional algorithm obeys
/// (UAX #9 section 2), and those of no width that no script needs.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_reorder_what_stands_beside_it() {
        assert_eq!(plain("moc.\u{202e}elgoog\u{202c}\n\0", 80), "moc.elgoog");
        assert_eq!(plain("Ünïcödé שלום 滑翔", 80), "Ünïcödé שלום 滑翔");
    }

    #[test]
    fn a_long_name_is_cut_by_characters_not_bytes() {
        assert_eq!(plain("ééé", 3), "ééé");
        assert_eq!(plain("éééé", 3), "ééé…");
    }
}
