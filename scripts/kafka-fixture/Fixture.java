import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Fills an Apache Kafka with a bit of everything, and writes down what its own consumer reads: Fixture HOST:PORT FILE. */
public class Fixture {
  static String servers;

  public static void main(String[] args) throws Exception {
    servers = args[0];
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", servers))) {
      admin.createTopics(List.of(
          new NewTopic("codecs", 2, (short) 1),
          new NewTopic("transactions", 1, (short) 1),
          new NewTopic("compacted", 1, (short) 1).configs(Map.of(
              "cleanup.policy", "compact", "segment.ms", "1000", "min.cleanable.dirty.ratio", "0.01")),
          new NewTopic("empty", 1, (short) 1))).all().get();
      codecs();
      transactions();
      compacted();
      commits();
    }
    Files.writeString(Path.of(args[1]), "{\n" + String.join(",\n", List.of(
        field("codecs", read("codecs", 2, "read_uncommitted")),
        field("transactions", read("transactions", 1, "read_uncommitted")),
        field("committed", read("transactions", 1, "read_committed")),
        field("compacted", read("compacted", 1, "read_uncommitted")))) + "\n}\n");
  }

  static KafkaProducer<String, String> producer(Map<String, Object> options) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", servers);
    properties.put("linger.ms", 50);
    properties.putAll(options);
    return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
  }

  static void codecs() {
    int number = 0;
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      try (KafkaProducer<String, String> producer = producer(Map.of("compression.type", codec))) {
        for (int n = 0; n < 4; n++, number++) {
          String key = n == 0 ? null : codec + "-" + n;
          String value = n == 1 ? null : (codec + " " + n + " ").repeat(n == 2 ? 100 : 1);
          ProducerRecord<String, String> record = new ProducerRecord<>("codecs", n == 3 ? 1 : 0, 1700000000000L + number, key, value);
          if (n == 2) record.headers().add("codec", codec.getBytes()).add("none", null);
          producer.send(record);
        }
      }
    }
  }

  static void transactions() {
    try (KafkaProducer<String, String> producer = producer(Map.of("transactional.id", "fixture"))) {
      producer.initTransactions();
      for (String end : List.of("committed", "aborted", "committed again")) {
        producer.beginTransaction();
        for (int n = 0; n < 2; n++) {
          producer.send(new ProducerRecord<>("transactions", 0, 1700000000000L, end, "value " + n));
        }
        producer.flush();
        if (end.equals("aborted")) producer.abortTransaction();
        else producer.commitTransaction();
      }
    }
    try (KafkaProducer<String, String> producer = producer(Map.of())) {
      producer.send(new ProducerRecord<>("transactions", 0, 1700000000000L, "plain", "value"));
    }
  }

  /**
   * A segment rolls with the message that comes a second after its first one; the cleaner is then waited for. Of the
   * first batch it leaves one message, of the second none.
   */
  static void compacted() throws Exception {
    try (KafkaProducer<String, String> producer = producer(Map.of("compression.type", "gzip"))) {
      long now = System.currentTimeMillis();
      for (int round = 0; round < 4; round++) {
        for (int n = 0; n < 4; n++) {
          String value = round == 1 && n == 3 ? null : "round " + round;
          producer.send(new ProducerRecord<>("compacted", 0, now + round * 2000L, round == 0 && n == 2 ? "once" : "key " + n, value));
        }
        producer.flush();
      }
    }
    for (int tries = 0; tries < 200 && read("compacted", 1, "read_uncommitted").size() == 16; tries++) Thread.sleep(200);
  }

  static void commits() {
    try (KafkaConsumer<String, String> consumer = consumer("billing", "read_uncommitted")) {
      consumer.commitSync(Map.of(new TopicPartition("codecs", 0), new OffsetAndMetadata(7), new TopicPartition("codecs", 1), new OffsetAndMetadata(3)));
    }
  }

  static KafkaConsumer<String, String> consumer(String group, String isolation) {
    return new KafkaConsumer<>(Map.of("bootstrap.servers", servers, "group.id", group, "isolation.level", isolation, "enable.auto.commit", false), new StringDeserializer(), new StringDeserializer());
  }

  static List<String> read(String topic, int partitions, String isolation) {
    List<String> found = new ArrayList<>();
    try (KafkaConsumer<String, String> consumer = consumer("reader", isolation)) {
      List<TopicPartition> all = new ArrayList<>();
      for (int n = 0; n < partitions; n++) all.add(new TopicPartition(topic, n));
      consumer.assign(all);
      consumer.seekToBeginning(all);
      Map<TopicPartition, Long> ends = consumer.endOffsets(all);
      while (all.stream().anyMatch(at -> consumer.position(at) < ends.get(at))) {
        consumer.poll(Duration.ofMillis(100)).forEach(record -> {
          List<String> headers = new ArrayList<>();
          record.headers().forEach(header -> headers.add("[" + text(header.key()) + "," + text(header.value() == null ? null : new String(header.value())) + "]"));
          found.add("[" + record.partition() + "," + record.offset() + "," + record.timestamp() + "," + text(record.key()) + "," + text(record.value()) + ",[" + String.join(",", headers) + "]]");
        });
      }
    }
    found.sort((a, b) -> order(a) - order(b));
    return found;
  }

  static int order(String line) {
    String[] fields = line.substring(1).split(",");
    return Integer.parseInt(fields[0]) * 1000 + Integer.parseInt(fields[1]);
  }

  /** What is sent holds nothing that JSON would have to escape. */
  static String text(String value) {
    return value == null ? "null" : "\"" + value + "\"";
  }

  static String field(String name, List<String> lines) {
    return "  " + text(name) + ": [\n    " + String.join(",\n    ", lines) + "\n  ]";
  }
}
