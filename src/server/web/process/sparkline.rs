//! A small curve of the last hour, as SVG without a script.

use maud::{Markup, html};

/// Width and height, in the units of the picture. The width is one hour.
const WIDTH: u64 = 360;
const HEIGHT: u64 = 44;
/// Seconds in the picture.
const SECONDS: u64 = 3600;
/// Samples further apart are not connected, in seconds.
const GAP: u64 = 100;

/// Renders points of seconds ago and value, the oldest first. `top`: the value at the upper edge, at least 1.
pub(super) fn sparkline(points: &[(u64, u64)], top: u64, label: &str) -> Markup {
    let top = top.max(1);
    let parts = runs(points);
    html! {
        svg.sparkline viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            line.base x1="0" x2=(WIDTH) y1=(HEIGHT - 1) y2=(HEIGHT - 1) {}
            @for part in parts {
                @if let (Some(first), Some(last)) = (part.first(), part.last()) {
                    @let line = part.iter().map(|point| place(*point, top)).collect::<Vec<_>>().join(" ");
                    polygon.area points={ (x(first.0)) "," (HEIGHT) " " (line) " " (x(last.0)) "," (HEIGHT) } {}
                    polyline.curve points=(line) {}
                }
            }
        }
    }
}

/// Divides the points where samples are missing.
fn runs(points: &[(u64, u64)]) -> Vec<&[(u64, u64)]> {
    let points = match points.iter().position(|point| point.0 <= SECONDS) {
        Some(first) => &points[first..],
        None => &[],
    };
    points
        .chunk_by(|one, next| one.0.saturating_sub(next.0) <= GAP)
        .collect()
}

fn x(ago: u64) -> u64 {
    WIDTH - ago.min(SECONDS) * WIDTH / SECONDS
}

fn place((ago, value): (u64, u64), top: u64) -> String {
    let tenths = u128::from(value.min(top)) * 10 * u128::from(HEIGHT - 4) / u128::from(top);
    let y = 10 * u128::from(HEIGHT - 2) - tenths;
    format!("{},{}.{}", x(ago), y / 10, y % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_stay_in_the_picture_and_end_where_samples_are_missing() {
        let points = [
            (9000, 1),
            (3600, 0),
            (3570, 50),
            (600, 100),
            (570, 400),
            (0, 10),
        ];
        assert_eq!(runs(&points).len(), 3);
        assert_eq!(place((3600, 0), 100), "0,42.0");
        assert_eq!(place((0, 400), 100), "360,2.0");
        let html = sparkline(&points, 100, "<x>").into_string();
        assert!(html.contains("points=\"0,42.0 3,22.0\""), "{html}");
        assert!(html.contains("aria-label=\"&lt;x&gt;\""), "{html}");
        assert!(!sparkline(&[], 0, "").into_string().contains("polyline"));
    }
}
