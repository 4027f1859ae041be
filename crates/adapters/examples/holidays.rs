//! All public holidays of the table, one `COUNTRY DATE` per line, for `bench/public_holidays.py`.

use adapters::calendar::holidays::countries;

fn main() {
    for country in countries() {
        for day in country.days() {
            println!("{} {day}", country.code());
        }
    }
}
