// The agent of the Java client. See README.md beside this file.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public final class JavaAgent {
    private static final String SERVERS = System.getenv("OTTLA_BOOTSTRAP_SERVERS");
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<String, KafkaProducer<String, String>> PRODUCERS = new HashMap<>();
    private static Admin admin;
    private static KafkaConsumer<String, String> member;
    private static Thread polling;

    public static void main(String[] args) throws Exception {
        admin = Admin.create(Map.of("bootstrap.servers", SERVERS));
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            JsonNode q = JSON.readTree(line);
            Map<String, Object> answer = new HashMap<>();
            answer.put("id", q.get("id").asInt());
            try {
                answer.put("value", operate(q));
            } catch (Exception error) {
                var trace = new StringWriter();
                error.printStackTrace(new PrintWriter(trace));
                answer.put("error", trace.toString());
            }
            tell(answer);
        }
        System.exit(0);
    }

    private static synchronized void tell(Map<String, Object> message) throws Exception {
        System.out.write((JSON.writeValueAsString(message) + "\n").getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }

    private static Object operate(JsonNode q) throws Exception {
        String topic = q.path("topic").asText();
        switch (q.get("op").asText()) {
            case "createTopic": {
                Map<String, String> config = new HashMap<>();
                q.path("config").fields().forEachRemaining(entry -> config.put(entry.getKey(), entry.getValue().asText()));
                var created = new NewTopic(topic, q.get("partitions").asInt(), (short) 1).configs(config);
                return admin.createTopics(List.of(created)).all().get();
            }
            case "describeTopic":
                return describeTopic(topic);
            case "listTopics":
                return admin.listTopics().names().get();
            case "alterTopic":
                return alterTopic(q, topic);
            case "deleteTopic":
                return admin.deleteTopics(List.of(topic)).all().get();
            case "produce":
                return produce(q, topic);
            case "consume": {
                List<Object> records = new ArrayList<>();
                read(topic, q.path("partition").asInt(), q.get("from"), q.get("count").asInt(), record -> records.add(fieldsOf(record)));
                return records;
            }
            case "produceMany":
                return produceMany(topic, q.get("count").asInt());
            case "checksum": {
                var digest = MessageDigest.getInstance("SHA-256");
                read(topic, 0, JSON.readTree("\"beginning\""), q.get("count").asInt(), record ->
                    digest.update((record.value() + "\n").getBytes(StandardCharsets.UTF_8)));
                return HexFormat.of().formatHex(digest.digest());
            }
            case "join":
                return join(q.get("group").asText(), topic);
            case "leave":
                member.wakeup();
                polling.join();
                return null;
            case "lag":
                return lag(q.get("group").asText(), topic);
            case "deleteOffsets":
                return admin.deleteConsumerGroupOffsets(q.get("group").asText(), new HashSet<>(placesOf(topic))).all().get();
            case "deleteRecords": {
                var place = new TopicPartition(topic, q.get("partition").asInt());
                var before = RecordsToDelete.beforeOffset(q.get("offset").asLong());
                return admin.deleteRecords(Map.of(place, before)).all().get();
            }
            default:
                throw new IllegalArgumentException("no operation " + q.get("op"));
        }
    }

    private static Object describeTopic(String topic) throws Exception {
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Config described = admin.describeConfigs(List.of(resource)).all().get().get(resource);
        Map<String, String> config = new HashMap<>();
        for (ConfigEntry entry : described.entries()) config.put(entry.name(), entry.value());
        return Map.of("partitions", placesOf(topic).size(), "config", config);
    }

    private static Collection<TopicPartition> placesOf(String topic) throws Exception {
        var description = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        return description.partitions().stream().map(info -> new TopicPartition(topic, info.partition())).toList();
    }

    private static Object alterTopic(JsonNode q, String topic) throws Exception {
        if (q.has("partitions")) {
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(q.get("partitions").asInt()))).all().get();
        }
        List<AlterConfigOp> changes = new ArrayList<>();
        q.path("config").fields().forEachRemaining(entry -> changes.add(new AlterConfigOp(
            new ConfigEntry(entry.getKey(), entry.getValue().asText()), AlterConfigOp.OpType.SET)));
        if (changes.isEmpty()) return null;
        var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        return admin.incrementalAlterConfigs(Map.<ConfigResource, Collection<AlterConfigOp>>of(resource, changes)).all().get();
    }

    private static KafkaProducer<String, String> producer(String codec) {
        return PRODUCERS.computeIfAbsent(codec, name -> new KafkaProducer<>(
            Map.of("bootstrap.servers", SERVERS, "compression.type", name), new StringSerializer(), new StringSerializer()));
    }

    private static Object produce(JsonNode q, String topic) throws Exception {
        var own = producer(q.path("codec").asText("none"));
        List<Future<?>> sent = new ArrayList<>();
        for (JsonNode record : q.get("records")) {
            var message = new ProducerRecord<>(
                topic,
                record.has("partition") ? record.get("partition").asInt() : null,
                record.has("timestamp") ? record.get("timestamp").asLong() : null,
                record.path("key").textValue(),
                record.get("value").textValue());
            record.path("headers").fields().forEachRemaining(entry ->
                message.headers().add(entry.getKey(), entry.getValue().asText().getBytes(StandardCharsets.UTF_8)));
            sent.add(own.send(message));
        }
        own.flush();
        for (Future<?> one : sent) one.get();
        return null;
    }

    private static Object produceMany(String topic, int count) throws Exception {
        var own = producer("none");
        List<Future<?>> sent = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            sent.add(own.send(new ProducerRecord<>(topic, 0, null, i + ":" + "x".repeat(i % 100))));
        }
        own.flush();
        for (Future<?> one : sent) one.get();
        return null;
    }

    private static KafkaConsumer<String, String> consumer(Map<String, Object> options) {
        Map<String, Object> config = new HashMap<>(options);
        config.put("bootstrap.servers", SERVERS);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    private static void read(
        String topic, int partition, JsonNode from, int count, Consumer<ConsumerRecord<String, String>> onRecord
    ) {
        var place = new TopicPartition(topic, partition);
        try (var consumer = consumer(Map.of())) {
            consumer.assign(List.of(place));
            if (from.isNumber()) {
                consumer.seek(place, from.asLong());
            } else if (from.isObject()) {
                var found = consumer.offsetsForTimes(Map.of(place, from.get("timestamp").asLong()));
                consumer.seek(place, found.get(place).offset());
            } else if (from.asText().equals("end")) {
                consumer.seekToEnd(List.of(place));
            } else {
                consumer.seekToBeginning(List.of(place));
            }
            for (int seen = 0; seen < count; ) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    if (seen++ < count) onRecord.accept(record);
                }
            }
        }
    }

    private static Object join(String group, String topic) {
        member = consumer(Map.of(
            "group.id", group, "auto.offset.reset", "earliest", "session.timeout.ms", 6000, "heartbeat.interval.ms", 500));
        member.subscribe(List.of(topic));
        polling = new Thread(() -> {
            try {
                while (true) {
                    for (var record : member.poll(Duration.ofSeconds(1))) tell(Map.of("record", fieldsOf(record)));
                }
            } catch (WakeupException leaving) {
                member.close();
            } catch (Exception error) {
                error.printStackTrace();
                System.exit(1);
            }
        });
        polling.start();
        return null;
    }

    private static long lag(String group, String topic) throws Exception {
        var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        long lag = 0;
        for (TopicPartition place : placesOf(topic)) {
            var ends = admin.listOffsets(Map.of(place, OffsetSpec.latest())).all().get();
            lag += ends.get(place).offset() - (committed.containsKey(place) ? committed.get(place).offset() : 0);
        }
        return lag;
    }

    private static Map<String, Object> fieldsOf(ConsumerRecord<String, String> record) {
        Map<String, String> headers = new HashMap<>();
        for (Header header : record.headers()) {
            headers.put(header.key(), new String(header.value(), StandardCharsets.UTF_8));
        }
        Map<String, Object> fields = new HashMap<>();
        fields.put("partition", record.partition());
        fields.put("offset", record.offset());
        fields.put("timestamp", record.timestamp());
        fields.put("key", record.key());
        fields.put("value", record.value());
        fields.put("headers", headers);
        return fields;
    }
}
