// Attention of few query tokens over the KV cache, chunk by chunk: scores, softmax weights and value sums of the four
// tiles of a chunk, folded to one partial per row and chunk. docs/exact-attention.md, sections 6 to 9.
//
// sequences: the sequences, four words each
// tables: their block tables
// queries: per row, codes of query_codes
// mults: per row and scale block of K, of query_codes
// k_pool, v_pool: blocks of turbo_backend::SideLayout
// partials: per row and chunk seen (params.slots of them): l, e of the denominator, then e, bound of every scale block
//   of V, then head_dim_v sums
// key_bias: per row, params.key_bias parts of scores as the kernel key_bias makes them, if that is not 0
// grid: 64 invocations (heads of 128: 128) per (sequence, K/V head, ROWS rows, params.span_chunks chunks), chunks fastest
// class: Exact
// twin: crates/turbo-cpu/src/attention/attention_decode.rs

#ifdef H128
#import attention_decode_128
#else
#import attention_decode_body
#endif
