// Tiles of 64 columns of TOKENS tokens and of ROWS rows as f16 in workgroup memory, and units of 32 weights on their way
// into them: RawUnit as read, store_unit writes its values.
//
// STRIDE vectors from token to token and from row to row: 16, and two against bank conflicts, which keep them at
// multiples of 16 bytes. Metal loads matrices from scalars only (SCALARS), so PER_VECTOR elements are a vector there.

const STRIDE = 18u;

#ifdef SCALARS
var<workgroup> token_tile: array<f16, TOKENS * 72>;
var<workgroup> row_tile: array<f16, ROWS * 72>;

fn store_token(at: u32, v: vec4<f16>) {
#repeat I 4
    token_tile[4u * at + I] = v[I];
#end
}

fn store_row(at: u32, values: vec4<f32>) {
    let v = vec4<f16>(values);
#repeat I 4
    row_tile[4u * at + I] = v[I];
#end
}
#else
var<workgroup> token_tile: array<vec4<f16>, TOKENS * 18>;
var<workgroup> row_tile: array<vec4<f16>, ROWS * 18>;

fn store_token(at: u32, v: vec4<f16>) {
    token_tile[at] = v;
}

fn store_row(at: u32, values: vec4<f32>) {
    row_tile[at] = vec4<f16>(values);
}
#endif

#ifdef FLOAT
#import half_floats
#else
#import weight_unit
#import half_codes
#endif
