//! S3 through the ports.

use pod_identity_engine::ports::{
    ObjectAnswer, ObjectPlace, ObjectReader, ObjectWriter, PortError,
};

use super::WorldPorts;
use crate::Object;

impl ObjectReader for WorldPorts {
    fn get_object<'a>(&'a self, place: &'a ObjectPlace) -> ObjectAnswer<'a> {
        let ObjectPlace { bucket, key } = place;
        let get = self.call(("s3", "GetObject"), "read", place.to_string(), move |world| {
            Ok(world.get_object(bucket, key)?.body)
        });
        Box::pin(get)
    }
}

impl ObjectWriter for WorldPorts {
    async fn put_object(
        &self,
        place: &ObjectPlace,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(), PortError> {
        let ObjectPlace { bucket, key } = place;
        self.call(("s3", "PutObject"), "write", place.to_string(), |world| {
            world.put_object(bucket, key, Object { content_type: content_type.to_owned(), body })
        })
        .await
    }
}
