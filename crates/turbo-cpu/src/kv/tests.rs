use turbo_backend::{BLOCK_TOKENS, SideLayout};
use turbo_quant::KvType;
use turbo_quant::kv::{Fault, decode_head, encode_head};

use super::cache::{CacheSide, HeadFault};
use super::{kv_decode, kv_encode};

fn side(kv_type: KvType) -> CacheSide {
    let layout = SideLayout::new(kv_type, 2, 80).expect("80 is a multiple of 16");
    CacheSide { layout, block_words: layout.block_words() + 7, offset: 3 }
}

fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7).sin()).collect()
}

#[test]
fn heads_lie_where_the_layout_says_and_neighbours_stay() {
    let side = side(KvType::Turbo4);
    let layout = side.layout;
    let x = values(2 * 80);
    let before = vec![0xdead_beef; 2 * side.block_words];
    let mut pool = before.clone();
    assert!(kv_encode::kv_encode(&side, &x, &[64 + 5], &mut pool).is_empty());

    let (mut codes, mut scales) = (vec![0; layout.code_words], vec![0; layout.scale_blocks]);
    encode_head(layout.kv_type, &x[80..], &mut codes, &mut scales).expect("finite");
    let block = &pool[side.block_words + side.offset..];
    let (unit_codes, unit_scales) = layout.unit(block, 0, 1);
    assert_eq!(unit_codes[5 * layout.code_words..][..layout.code_words], codes);
    assert_eq!(unit_scales[2] >> 16, u32::from(scales[0]));
    assert_eq!(unit_scales[2] & 0xffff, 0xbeef, "the other token's scale stays");
    assert_eq!(unit_scales[BLOCK_TOKENS / 2 + 2] >> 16, u32::from(scales[1]));
    let changed = pool.iter().zip(&before).filter(|(a, b)| a != b).count();
    assert_eq!(changed, 2 * (layout.code_words + layout.scale_blocks));

    let mut y = vec![0.0; 2 * 80];
    kv_decode::kv_decode(&side, &pool, &[64 + 5], &mut y, true);
    let mut want = vec![0.0; 80];
    decode_head(layout.kv_type, &codes, &scales, &mut want, true);
    assert_eq!(y[80..], want);
}

#[test]
fn a_head_with_a_fault_is_listed_and_not_stored() {
    let side = side(KvType::Q8_0);
    let mut x = values(3 * 2 * 80);
    x[80 + 17] = f32::NAN;
    x[4 * 80] = 3e38;
    let mut pool = vec![1; side.block_words];
    let faults = kv_encode::kv_encode(&side, &x, &[0, 9, 2], &mut pool);
    let fault = |token, head, fault| HeadFault { token, head, fault };
    assert_eq!(faults, [fault(0, 1, Fault::NonFinite), fault(2, 0, Fault::Overflow)]);
    let (codes, _) = side.layout.unit(&pool[side.offset..], 0, 1);
    assert!(codes[..side.layout.code_words].iter().all(|&word| word == 1));
}
