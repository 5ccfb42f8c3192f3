//! What is refused, and how it is said.

use turbo_backend::{KvLayer, KvShape, KvSide};
use turbo_cpu::attention::{Simd, kv_write};
use turbo_cpu::pool::ThreadPool;
use turbo_quant::KvType;
use turbo_quant::kv::Fault;

use crate::case::Case;

#[test]
fn a_query_that_is_not_finite_is_named() {
    for k in [KvType::Turbo4, KvType::F16] {
        for threads in [1, 3] {
            let mut filled = Case { k, n_kv_heads: 2, group: 3, n_keys: 40, n_tokens: 9, ..Case::default() }.fill();
            filled.q[(4 * 6 + 5) * 128 + 7] = f32::NAN;
            filled.q[(7 * 6) * 128] = f32::INFINITY;
            let fault = filled.run(&ThreadPool::new(threads), Simd::best(), 0, 9).expect_err("a query is nan");
            assert_eq!((fault.token, fault.head), (4, 5));
            assert_eq!(
                fault.to_string(),
                "found inf or nan in the query of token 4, head 5, expected finite values: the model's weights or its \
                 computation are broken"
            );
        }
    }
}

#[test]
fn a_head_that_cannot_be_stored_is_named_and_nothing_is_stored() {
    let shape = KvShape { n_kv_heads: 2, head_dim_k: 64, head_dim_v: 64 };
    let layer = KvLayer::new(shape, KvType::Turbo4, KvType::F16).expect("64 is a multiple of 16");
    let (mut k, mut v) = (vec![1.0; 10 * 128], vec![1.0; 10 * 128]);
    let mut k_pool = vec![7; layer.k.block_words()];
    let mut v_pool = vec![7; layer.v.block_words()];
    let mut write = |k: &[f32], v: &[f32]| {
        let pool = ThreadPool::new(3);
        let result = kv_write(&pool, &layer, &mut k_pool, &mut v_pool, &[0], 0, 10, k, v);
        assert!(result.is_ok() || k_pool.iter().chain(&v_pool).all(|&w| w == 7), "something was stored");
        result
    };
    k[8 * 128 + 3] = f32::NAN;
    v[5 * 128 + 70] = 1e5;
    let fault = write(&k, &v).expect_err("a value is beyond f16");
    assert_eq!((fault.token, fault.side, fault.fault), (5, KvSide::V, Fault::Overflow));
    v[5 * 128 + 70] = 1.0;
    let fault = write(&k, &v).expect_err("a key is nan");
    assert_eq!((fault.token, fault.side, fault.fault), (8, KvSide::K, Fault::NonFinite));
    assert!(fault.to_string().starts_with("K of token 8: found inf or nan"), "{fault}");
    k[8 * 128 + 3] = 1.0;
    assert_eq!(write(&k, &v), Ok(()));
}
