using System.Collections.Immutable;
using System.Text;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class ZnodeJsonTests
{
    [Test]
    public void A_monitors_view_is_read_as_written()
    {
        var report = new MonitorReport(
            ImmutableSortedDictionary<NodeAddress, double>.Empty.Add(new("a", 1), 0.25), [new NodeAddress("b", 1)]);

        MonitorReport read = MonitorReport.Parse(report.Write());

        Assert.Multiple(() =>
        {
            Assert.That(read.SaysTheSameAs(report));
            Assert.That(read.Available[new("a", 1)], Is.EqualTo(0.25));
        });
    }

    [Test]
    public void Which_nodes_take_no_connection_is_read_as_written_and_is_a_part_of_what_a_view_says()
    {
        MonitorReport report = MonitorReport.None with { Shut = [new NodeAddress("a", 1), new NodeAddress("b", 1)] };

        MonitorReport read = MonitorReport.Parse(report.Write());

        Assert.That(read.Shut, Is.EqualTo(report.Shut));
        Assert.That((read.SaysTheSameAs(report), read.SaysTheSameAs(MonitorReport.None)), Is.EqualTo((true, false)));
        Assert.That(Encoding.UTF8.GetString(MonitorReport.None.Write()), Does.Not.Contain("shut"));
    }

    [Test]
    public void Why_a_node_is_not_watched_is_read_as_written_and_is_a_part_of_what_a_view_says()
    {
        MonitorReport report = MonitorReport.None with { Unwatched = MonitorReport.None.Unwatched.Add(new("a", 1), "no route") };

        MonitorReport read = MonitorReport.Parse(report.Write());

        Assert.That(read.Unwatched, Is.EqualTo(report.Unwatched));
        Assert.That((read.SaysTheSameAs(report), read.SaysTheSameAs(MonitorReport.None)), Is.EqualTo((true, false)));
    }

    [TestCase("{\"shut\":7}", "shut")]
    [TestCase("{\"available\":[]}", "allowed: an object")]
    [TestCase("{\"available\":{\"x\":1}}", "not host:port")]
    [TestCase("{\"available\":{\"a:1\":\"fast\"}}", "seconds")]
    [TestCase("no", "is not JSON")]
    public void A_view_that_is_none_is_refused(string text, string word)
        => Assert.That(()
            => MonitorReport.Parse(Encoding.UTF8.GetBytes(text)), Throws.TypeOf<FormatException>().With.Message.Contains(word));

    [Test]
    public void The_history_keeps_the_last_hundred_entries_a_line_each()
    {
        ImmutableArray<HistoryEntry> entries = [.. Enumerable.Range(1, 120).Select(i => new HistoryEntry
        {
            Kind = HistoryKind.Failover,
            Epoch = i,
            From = new NodeAddress("a", 1),
            To = new NodeAddress("b", 1),
            Reason = "r",
            By = "m",
            BytesBehind = 3,
            Millis = [KeyValuePair.Create("verdict", 1.5), KeyValuePair.Create("total", 2.0)],
        })];

        byte[] written = HistoryJson.Write(entries);
        ImmutableArray<HistoryEntry> read = HistoryJson.Parse(written);

        Assert.Multiple(() =>
        {
            Assert.That(read, Has.Length.EqualTo(HistoryJson.Limit));
            Assert.That(read[^1], Is.EqualTo(entries[^1]));
            Assert.That(read[0].Epoch, Is.EqualTo(21));
            Assert.That(Encoding.UTF8.GetString(written).Split('\n', StringSplitOptions.RemoveEmptyEntries),
                Has.Length.EqualTo(HistoryJson.Limit + 2));
        });
    }

    [Test]
    public void An_empty_history_is_one() => Assert.That(HistoryJson.Parse(HistoryJson.Write([])), Is.Empty);

    [TestCase("{}")]
    [TestCase("[{\"kind\":\"party\"}]")]
    [TestCase("[7]")]
    [TestCase("oops")]
    public void A_history_that_is_none_is_refused(string text)
        => Assert.That(() => HistoryJson.Parse(Encoding.UTF8.GetBytes(text)), Throws.TypeOf<FormatException>());
}
