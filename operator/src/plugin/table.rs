//! Columns that are as wide as what stands in them.

/// A cell: its text, and how it is painted.
pub(super) struct Cell {
    text: String,
    paint: Option<fn(&super::screen::Screen, &str) -> String>,
}

impl Cell {
    /// Painted with this.
    pub(super) fn painted(
        text: impl Into<String>,
        paint: fn(&super::screen::Screen, &str) -> String,
    ) -> Self {
        Self {
            text: text.into(),
            paint: Some(paint),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            paint: None,
        }
    }
}

/// Lays rows out below each other; an empty cell is a dash.
pub(super) fn render(
    headings: &[&str],
    rows: Vec<Vec<Cell>>,
    indent: &str,
    screen: &super::screen::Screen,
) -> String {
    let mut lines = vec![
        headings
            .iter()
            .map(|it| Cell::from(*it))
            .collect::<Vec<_>>(),
    ];
    lines.extend(rows);
    for cell in lines.iter_mut().flatten() {
        if cell.text.is_empty() {
            "-".clone_into(&mut cell.text);
        }
    }
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|it| it.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        text.push_str(indent);
        for (i, cell) in line.iter().enumerate() {
            match cell.paint {
                Some(paint) => text.push_str(&paint(screen, &cell.text)),
                None => text.push_str(&cell.text),
            }
            if i + 1 < line.len() {
                let room = widths.get(i).copied().unwrap_or(0) + 3;
                text.push_str(&" ".repeat(room - cell.text.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::screen::Screen;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = vec![
            vec!["a".into(), "".into()],
            vec!["long".into(), Cell::painted("x", Screen::red)],
        ];
        let text = render(&["K", "V"], rows, "  ", &Screen::plain());
        assert_eq!(text, "  K      V\n  a      -\n  long   x\n");
    }
}
