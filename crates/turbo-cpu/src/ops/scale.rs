//! Products with a constant.

/// x *= factor, element by element.
pub fn scale(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}
