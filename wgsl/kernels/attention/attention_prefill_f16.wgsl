// Attention with f16 on a side, of many query tokens over the KV cache: scores, softmax weights and value sums, tile by
// tile, folded in order; at the end normalised and, unless V is f16, rotated back. docs/exact-attention.md, sections 6
// to 10.
//
// sequences: the sequences, four words each
// tables: their block tables
// queries: per row, coded K: codes of query_codes; f16 K: the query, head_dim_k f32
// mults: per row and scale block of K, of query_codes (coded K)
// k_pool, v_pool: blocks of turbo_backend::SideLayout
// sinks: one logit per query head (params.sinks = 1), else not read
// key_bias: per row params.key_bias i32 (none if 0): parts of the scores of the keys from the first chunk on that the
//   sequence sees, in their units
// y: rows of head_dim_v f32; meanwhile it holds running sums
// grid: 64 invocations per (16 rows, sequence, K/V head, 128 values of V), values fastest, last rows first
// class: Bounded, but the same for every batch on one device
// twin: crates/turbo-cpu/src/attention/attention_prefill_f16.rs

#import attention_prefill_body
