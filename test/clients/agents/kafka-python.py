import hashlib
import threading

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

from agent import BOOTSTRAP_SERVERS, decoded, encoded, numbered, serve, tell

admin = KafkaAdminClient(bootstrap_servers=BOOTSTRAP_SERVERS)
producers = {}


def producer(codec="none"):
    if codec not in producers:
        producers[codec] = KafkaProducer(
            bootstrap_servers=BOOTSTRAP_SERVERS,
            compression_type=None if codec == "none" else codec,
            linger_ms=5,
            retries=20,
        )
    return producers[codec]


def record_of(message):
    return {
        "partition": message.partition,
        "offset": message.offset,
        "timestamp": message.timestamp,
        "key": decoded(message.key),
        "value": decoded(message.value),
        "headers": {name: decoded(value) for name, value in message.headers},
    }


def create_topic(topic, partitions, config=None):
    admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config or {})])


def partitions_of(topic):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP_SERVERS)
    try:
        return len(consumer.partitions_for_topic(topic))
    finally:
        consumer.close()


def describe_topic(topic):
    return {"partitions": partitions_of(topic)}


def list_topics():
    return list(admin.list_topics())


def alter_topic(topic, partitions=None, config=None):
    if partitions is not None:
        admin.create_partitions({topic: NewPartitions(partitions)})
    if config is not None:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])


def delete_topic(topic):
    admin.delete_topics([topic])


def produce(topic, records, codec="none"):
    own = producer(codec)
    sent = [
        own.send(
            topic,
            key=encoded(record.get("key")),
            value=encoded(record["value"]),
            headers=[(name, text.encode()) for name, text in record.get("headers", {}).items()],
            partition=record.get("partition"),
            timestamp_ms=record.get("timestamp"),
        )
        for record in records
    ]
    own.flush()
    try:
        for future in sent:
            future.get(timeout=60)
    except Exception:
        # An idempotent producer of version 3 sends nothing more after a message that was refused.
        producers.pop(codec).close()
        raise


def messages(topic, start, count, partition=0):
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP_SERVERS)
    place = TopicPartition(topic, partition)
    consumer.assign([place])
    if start == "beginning":
        consumer.seek_to_beginning(place)
    elif start == "end":
        consumer.seek_to_end(place)
        consumer.position(place)
    elif isinstance(start, dict):
        consumer.seek(place, consumer.offsets_for_times({place: start["timestamp"]})[place].offset)
    else:
        consumer.seek(place, start)
    for _, message in zip(range(count), consumer):
        yield message
    consumer.close()


def consume(topic, count, partition=0, **request):
    return [record_of(message) for message in messages(topic, request["from"], count, partition)]


def produce_many(topic, count):
    own = producer()
    for index in range(count):
        own.send(topic, numbered(index), partition=0)
    own.flush()


def checksum(topic, count):
    digest = hashlib.sha256()
    for message in messages(topic, "beginning", count):
        digest.update(message.value + b"\n")
    return digest.hexdigest()


class Member:
    def __init__(self, group, topic):
        self.leaving = threading.Event()
        self.consumer = KafkaConsumer(
            topic,
            bootstrap_servers=BOOTSTRAP_SERVERS,
            group_id=group,
            auto_offset_reset="earliest",
            session_timeout_ms=6000,
            heartbeat_interval_ms=500,
        )
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.leaving.is_set():
            for batch in self.consumer.poll(timeout_ms=200).values():
                for message in batch:
                    tell({"record": record_of(message)})
        self.consumer.close()

    def leave(self):
        self.leaving.set()
        self.thread.join()


members = []


def join(group, topic):
    members.append(Member(group, topic))


def leave():
    members.pop().leave()


def lag(group, topic):
    committed = {place: meta.offset for place, meta in offsets_of(group).items() if place.topic == topic}
    consumer = KafkaConsumer(bootstrap_servers=BOOTSTRAP_SERVERS)
    places = [TopicPartition(topic, partition) for partition in consumer.partitions_for_topic(topic)]
    ends, starts = consumer.end_offsets(places), consumer.beginning_offsets(places)
    consumer.close()
    return sum(ends[place] - committed.get(place, starts[place]) for place in places)


def offsets_of(group):
    if hasattr(admin, "list_group_offsets"):
        return admin.list_group_offsets({group: None})[group]
    return admin.list_consumer_group_offsets(group)


def delete_records(topic, partition, offset):
    admin.delete_records({TopicPartition(topic, partition): offset})


def delete_offsets(group, topic):
    places = [place for place in offsets_of(group) if place.topic == topic]
    for place, error in admin.delete_group_offsets(group, places).items():
        if error.errno != 0:
            raise error(place)


serve(
    {
        "createTopic": create_topic,
        "describeTopic": describe_topic,
        "listTopics": list_topics,
        "alterTopic": alter_topic,
        "deleteTopic": delete_topic,
        "produce": produce,
        "consume": consume,
        "produceMany": produce_many,
        "checksum": checksum,
        "join": join,
        "leave": leave,
        "lag": lag,
        "deleteRecords": delete_records,
        "deleteOffsets": delete_offsets,
    }
)
