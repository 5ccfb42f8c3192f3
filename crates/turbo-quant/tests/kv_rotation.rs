//! The rotation: against the dense matrix, and back.

mod common;

use common::{HEADS, Random, norm, rotate_dense};
use turbo_quant::turbo::rotate::{Direction, rotate_head};

#[test]
fn forward_equals_the_dense_matrix_and_inverse_brings_it_back() {
    let mut random = Random(1);
    for d in HEADS {
        for _ in 0..20 {
            let x = random.head(d, 1.0);
            let mut y = x.clone();
            rotate_head(&mut y, Direction::Forward);
            for (got, want) in y.iter().zip(rotate_dense(&x)) {
                assert!((f64::from(*got) - want).abs() < 2e-6, "d {d}: {got} for {want}");
            }
            assert!((norm(&y) / norm(&x) - 1.0).abs() < 1e-6);
            rotate_head(&mut y, Direction::Inverse);
            let error = x.iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let largest = x.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!(error < 1e-6 * largest, "d {d}: {error} beside {largest}");
        }
    }
}

#[test]
fn the_rotation_commutes_with_powers_of_two() {
    let x = Random(2).head(80, 1.0);
    let rotated = |scale: f32| {
        let mut y: Vec<f32> = x.iter().map(|v| v * scale).collect();
        rotate_head(&mut y, Direction::Forward);
        y.iter().map(|v| (v / scale).to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(rotated(1.0), rotated(2_f32.powi(100)));
    assert_eq!(rotated(1.0), rotated(2_f32.powi(-80)));
}

#[test]
fn edge_cases() {
    let rotate = |mut x: Vec<f32>| {
        rotate_head(&mut x, Direction::Forward);
        x
    };
    assert!(rotate(vec![0.0; 64]).iter().all(|v| *v == 0.0));
    assert!(rotate(vec![-0.0; 64]).iter().all(|v| *v == 0.0));
    assert!(rotate(vec![1e-45; 64]).iter().all(|v| *v == 0.0), "denormals count as zero");
    let mut one_hot = vec![0.0; 128];
    one_hot[5] = 3.0;
    let y = rotate(one_hot);
    assert!(y.iter().all(|v| v.abs() == 3.0 * 0.088_388_346));
    let huge = rotate(vec![f32::MAX; 16]);
    assert!(huge.iter().all(|v| v.is_finite()), "saturates: {huge:?}");
    // Only the group with the nan is lost.
    let mut x = vec![1.0; 80];
    x[70] = f32::INFINITY;
    let y = rotate(x);
    assert!(y[..64].iter().all(|v| v.is_finite()));
    assert!(y[64..].iter().all(|v| v.to_bits() == 0x7fc0_0000));
}
