// The end of a product: a sum with its bias, and with what out holds already, goes to its place.

fn store_sum(value: f32, token: u32, row: u32) {
    var sum = value;
    let place = params.first_row + row;
    if params.bias != 0u {
        sum += bias[place];
    }
    let at = token * params.out_row + place;
    if params.add != 0u {
        sum += out[at];
    }
    out[at] = sum;
}
