import hashlib
import threading

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from agent import BOOTSTRAP_SERVERS, decoded, encoded, numbered, serve, tell

COMMON = {"bootstrap.servers": BOOTSTRAP_SERVERS, "log_level": 0}
admin = AdminClient(COMMON)
producers = {}


def producer(codec="none"):
    if codec not in producers:
        producers[codec] = Producer({**COMMON, "compression.type": codec, "linger.ms": 5, "enable.idempotence": True})
    return producers[codec]


def resolved(futures):
    return [future.result(60) for future in futures.values()]


def record_of(message):
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": decoded(message.key()),
        "value": decoded(message.value()),
        "headers": {name: decoded(value) for name, value in message.headers() or []},
    }


def create_topic(topic, partitions, config=None):
    resolved(admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})]))


def describe_topic(topic):
    (config,) = resolved(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    partitions = len(admin.list_topics(topic, timeout=60).topics[topic].partitions)
    return {"partitions": partitions, "config": {name: entry.value for name, entry in config.items()}}


def list_topics():
    return list(admin.list_topics(timeout=60).topics)


def alter_topic(topic, partitions=None, config=None):
    if partitions is not None:
        resolved(admin.create_partitions([NewPartitions(topic, partitions)]))
    if config is not None:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        resolved(admin.incremental_alter_configs([resource]))


def delete_topic(topic):
    resolved(admin.delete_topics([topic]))


def produce(topic, records, codec="none"):
    failures = []
    own = producer(codec)
    for record in records:
        optional = {"partition": record.get("partition"), "timestamp": record.get("timestamp")}
        own.produce(
            topic,
            key=encoded(record.get("key")),
            value=encoded(record["value"]),
            headers=record.get("headers") or None,
            on_delivery=lambda error, _: failures.append(error) if error else None,
            **{name: value for name, value in optional.items() if value is not None},
        )
    own.flush()
    if failures:
        raise RuntimeError(failures)


def messages(topic, start, count, partition=0):
    consumer = Consumer({**COMMON, "group.id": "none", "enable.auto.commit": False})
    if start == "beginning":
        offset = OFFSET_BEGINNING
    elif start == "end":
        offset = OFFSET_END
    elif isinstance(start, dict):
        offset = consumer.offsets_for_times([TopicPartition(topic, partition, start["timestamp"])])[0].offset
    else:
        offset = start
    consumer.assign([TopicPartition(topic, partition, offset)])
    while count > 0:
        for message in consumer.consume(min(count, 10000), timeout=1):
            if message.error():
                raise RuntimeError(message.error())
            count -= 1
            yield message
    consumer.close()


def consume(topic, count, partition=0, **request):
    return [record_of(message) for message in messages(topic, request["from"], count, partition)]


def produce_many(topic, count):
    own = producer()
    for index in range(count):
        while True:
            try:
                own.produce(topic, numbered(index), partition=0)
                break
            except BufferError:
                own.poll(1)
    own.flush()


def checksum(topic, count):
    digest = hashlib.sha256()
    for message in messages(topic, "beginning", count):
        digest.update(message.value() + b"\n")
    return digest.hexdigest()


class Member:
    def __init__(self, group, topic):
        self.leaving = threading.Event()
        self.consumer = Consumer(
            {
                **COMMON,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 6000,
                "heartbeat.interval.ms": 500,
                "partition.assignment.strategy": "cooperative-sticky",
            }
        )
        self.consumer.subscribe([topic])
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.leaving.is_set():
            message = self.consumer.poll(0.2)
            # Errors are told while the broker is away, and pass.
            if message is not None and not message.error():
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
    (offsets,) = resolved(admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]))
    consumer = Consumer({**COMMON, "group.id": "none"})
    total = 0
    for place in offsets.topic_partitions:
        if place.topic == topic:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, place.partition), timeout=60)
            total += high - max(place.offset, low)
    consumer.close()
    return total


def delete_records(topic, partition, offset):
    resolved(admin.delete_records([TopicPartition(topic, partition, offset)]))


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
    }
)
