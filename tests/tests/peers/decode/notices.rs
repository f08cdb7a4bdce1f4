//! Notifications of agents from a seed: each number with the JSON of its kind, of another one, or none at all.

/// Random notifications, one after the other.
pub(crate) struct Notices(fastrand::Rng);

impl Notices {
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self(random)
    }

    /// A number and a text.
    pub(crate) fn next(&mut self) -> (u32, String) {
        let number = match self.0.u8(..12) {
            0 => self.0.choice([0, 1, 13, 14, 255, u32::MAX]).unwrap_or(0),
            1..4 => self.0.choice([11, 12]).unwrap_or(11),
            _ => self.0.u32(2..13),
        };
        let shape = if self.0.u8(..3) == 0 { self.0.u32(2..13) } else { number };
        let mut text = self.text(shape);
        // What is no JSON is of the kinds that are read alone: Go writes the others out again, and then fails.
        if (2..13).contains(&number) && self.0.u8(..16) == 0 {
            text.truncate(self.0.usize(..text.len()));
        }
        (number, text)
    }

    fn text(&mut self, shape: u32) -> String {
        let id = self.0.u16(1..);
        let labels = self.0.choice(["", r#","labels":["k8s:app=a","k8s:b"]"#]).unwrap_or_default();
        match shape {
            2 => r#"{"time":"2024-05-06T07:08:09.000000005Z"}"#.to_owned(),
            3 | 4 => format!(r#"{{"id":{id}{labels}{}}}"#, self.0.choice(["", r#","error":"e""#]).unwrap_or_default()),
            5 | 6 => format!(r#"{{"revision":{id},"rule_count":{}{labels}}}"#, self.0.u8(..)),
            7 | 8 => {
                let pod = self.0.choice(["", r#","pod-name":"p","namespace":"n""#]).unwrap_or_default();
                format!(r#"{{"id":{id}{labels}{pod}}}"#)
            }
            9 | 10 => {
                let old =
                    self.0.choice(["", r#","old-id":0"#, r#","old-id":7,"host-ip":"192.0.2.1""#]).unwrap_or_default();
                format!(r#"{{"cidr":"10.0.0.0/24","id":{id}{old},"encrypt-key":{}}}"#, self.0.u8(..))
            }
            11 => {
                let backends = self.0.choice(["null", "[]", r#"[{"ip":"192.0.2.1","port":6443}]"#]).unwrap_or_default();
                let names = self
                    .0
                    .choice(["", r#","type":"ClusterIP","ext-traffic-policy":"Local","name":"s","namespace":"n""#])
                    .unwrap_or_default();
                format!(
                    r#"{{"id":{id},"frontend-address":{{"ip":"10.96.0.1","port":443}},"backend-addresses":{backends}{names}}}"#
                )
            }
            12 => format!(r#"{{"id":{id}}}"#),
            _ => format!(r#"{{"message":{id}}}"#),
        }
    }
}
