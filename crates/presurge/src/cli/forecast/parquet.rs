//! The rows of a forecast as a Parquet file, compressed with Snappy.

use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::table::Table;

/// The whole file in memory; `ds` is a timestamp in milliseconds, UTC.
pub(super) fn bytes(table: &Table<'_>) -> Result<Vec<u8>, ParquetError> {
    let columns = table.columns();
    let fields = columns.iter().map(|name| field(name)).collect::<Result<Vec<_>, _>>()?;
    let schema = Type::group_type_builder("forecast").with_fields(fields).build()?;
    let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, Arc::new(schema), Arc::new(snappy))?;
    let rows = || {
        table.rows.iter().flat_map(|(named, future)| {
            (0..future.horizon()).map(move |step| (*named, future, step))
        })
    };
    let mut group = writer.next_row_group()?;
    let names: Vec<ByteArray> = rows().map(|(named, ..)| text(&named.name)).collect();
    column::<ByteArrayType, _>(&mut group, &names)?;
    let times: Vec<i64> =
        rows().map(|(_, future, step)| future.at(step).as_millisecond()).collect();
    column::<Int64Type, _>(&mut group, &times)?;
    let models: Vec<ByteArray> = rows().map(|(_, future, _)| text(&future.model)).collect();
    column::<ByteArrayType, _>(&mut group, &models)?;
    let numbers: Vec<Vec<f64>> =
        rows().map(|(_, future, step)| table.numbers(future, step)).collect();
    for index in 0..columns.len() - 3 {
        let values: Vec<f64> = numbers.iter().map(|row| row[index]).collect();
        column::<DoubleType, _>(&mut group, &values)?;
    }
    group.close()?;
    writer.close()?;
    Ok(file)
}

fn field(name: &str) -> Result<TypePtr, ParquetError> {
    let of = |physical, logical| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    match name {
        "unique_id" | "model" => of(Physical::BYTE_ARRAY, Some(LogicalType::String)),
        "ds" => of(Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        _ => of(Physical::DOUBLE, None),
    }
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}

fn column<T: DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::EOF("no column".into()))?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}
