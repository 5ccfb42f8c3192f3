//! Sums of two values.

/// x = x * own + y * other, element by element.
pub fn add_scaled(x: &mut [f32], own: f32, y: &[f32], other: f32) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x = *x * own + y * other);
}
