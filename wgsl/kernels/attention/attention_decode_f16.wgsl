// Attention with f16 on a side, of few query tokens over the KV cache, chunk by chunk: scores, softmax weights and value
// sums of the four tiles of a chunk, folded to one partial per row and chunk. docs/exact-attention.md, sections 6 to 9.
//
// sequences: the sequences, four words each
// tables: their block tables
// queries: per row, coded K: codes of query_codes; f16 K: the query, head_dim_k f32
// mults: per row and scale block of K, of query_codes (coded K)
// k_pool, v_pool: blocks of turbo_backend::SideLayout
// partials: per row and chunk seen (params.slots of them): l, e of the denominator, then e, bound of every scale block
//   of V (f16 V: the exponent of its sums, 0), then head_dim_v sums (i32; f16 V: f32)
// key_bias: per row, params.key_bias parts of scores as the kernel key_bias makes them, if that is not 0
// grid: 64 invocations (heads of 128: 128) per (sequence, K/V head, ROWS rows, params.span_chunks chunks), chunks fastest
// class: Bounded, but the same for every split and batch on one device
// twin: crates/turbo-cpu/src/attention/attention_decode_f16.rs

#ifdef H128
#import attention_decode_128_f16 ROWS=5 ROW_PAIRS=3
#else
#import attention_decode_body
#endif
