//! Markdown tables, and the numbers in them.

use std::fmt::Write as _;

/// The middle value; the mean of the two middle ones of an even number. `None`
/// of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The smallest value that at least this share of all (0 to 1) stays within; not
/// a number of nothing.
#[allow(clippy::cast_precision_loss)] // No run has 2^52 samples.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let within = |rank: usize| rank as f64 >= share * values.len() as f64;
    let rank = (1..=values.len()).find(|&rank| within(rank));
    rank.map_or(f64::NAN, |rank| values[rank - 1])
}

/// A table with its first column to the left and all others to the right.
pub fn markdown(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([header[column].chars().count(), 3])
            .max()
            .unwrap_or(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::from("|");
        for (column, (cell, &width)) in cells.zip(&widths).enumerate() {
            // Writing to a `String` cannot fail.
            let _ = match column {
                0 => write!(text, " {cell:<width$} |"),
                _ => write!(text, " {cell:>width$} |"),
            };
        }
        text.push('\n');
        text
    };
    let mut text = line(&mut header.iter().copied());
    let rules: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, &width)| match column {
            0 => "-".repeat(width),
            _ => "-".repeat(width - 1) + ":",
        })
        .collect();
    text.push_str(&line(&mut rules.iter().map(String::as_str)));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// A whole number with its thousands apart.
pub fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let start = usize::from(digits.starts_with('-'));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > start && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number, or a dash for none.
pub fn or_dash(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=500).rev().map(f64::from).collect();
        assert!((quantile(&values, 0.5) - 250.0).abs() < 0.1);
        assert!((quantile(&values, 0.99) - 495.0).abs() < 0.1);
        assert!((quantile(&values, 1.0) - 500.0).abs() < 0.1);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn columns_line_up() {
        let table = markdown(&["proxy", "n"], &[vec!["a".into(), "1,000".into()]]);
        assert_eq!(
            table,
            "| proxy |     n |\n| ----- | ----: |\n| a     | 1,000 |\n"
        );
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(whole(0.4), "0");
        assert_eq!(whole(999.6), "1,000");
        assert_eq!(whole(1_234_567.0), "1,234,567");
        assert_eq!(whole(-123_456.0), "-123,456");
    }
}
