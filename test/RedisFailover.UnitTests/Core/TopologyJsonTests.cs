using System.Collections.Immutable;
using System.Text;
using NUnit.Framework;

namespace RedisFailover.UnitTests.Core;

[TestFixture]
public sealed class TopologyJsonTests
{
    private static readonly NodeAddress A = new("10.0.0.1", 6379);
    private static readonly NodeAddress B = new("::1", 6380);

    [Test]
    public void What_is_written_is_read_again()
    {
        var topology = new Topology
        {
            Replicas = [B],
            Unavailable = [A],
            Epoch = 7,
            State = TopologyState.FailingOver,
            Reason = "the master's gone",
            ChangedAt = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.Zero),
            ChangedBy = "m1",
            Members = [A, B],
            NeverPromoted = [B],
            Identity = new MasterIdentity("run", "repl", "before", 99, HasData: true)
            {
                PreviousHistoryEnd = 42, Former = new FormerHistory("earlier", 30) { Before = new FormerHistory("first", -1) },
            },
            Waiting = new WaitCause("no-candidate", [A, B]),
            Intent = new FailoverIntent(A, B) { Occasion = "master b was lost", BegunIn = 7,
                    Since = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 600, TimeSpan.Zero) },
            LastChange = new HistoryEntry { Kind = HistoryKind.Failover, Epoch = 6, From = B, To = A, Reason = "b was lost", By = "m1",
                    BytesBehind = 3, Millis = [KeyValuePair.Create("total", 5.5)] },
            Remarks = ImmutableSortedDictionary<NodeAddress, string>.Empty.Add(A, "left alone"),
        };

        Assert.That(TopologyJson.Parse(TopologyJson.Write(topology)), Is.EqualTo(topology));
    }

    [Test]
    public void What_a_monitor_before_0_2_waits_for_is_read_out_of_its_reason() => Assert.Multiple(() =>
    {
        Topology choosing = Parse(
            """{"master":null,"slaves":[],"epoch":2,"state":"failing-over","reason":"a was lost; waiting, because nobody is fit","intent":{"from":"10.0.0.1:6379"}}""");
        Topology heldBack = Parse("""{"master":"10.0.0.1:6379","slaves":[],"epoch":2,"state":"ok","reason":"a is lost; the failover is held back, because"}""");

        Assert.That((choosing.Intent!.Occasion, choosing.Waiting), Is.EqualTo(("a was lost", (WaitCause?)null)));
        Assert.That(heldBack.Waiting?.Code, Is.EqualTo("failover-held-back"));
    });

    [Test]
    public void It_is_indented_and_keeps_an_apostrophe_readable()
    {
        string text = Encoding.UTF8.GetString(TopologyJson.Write(Topology.None with { Reason = "it's here" }));

        Assert.That(text, Does.StartWith("{\n  \"master\": null,\n  \"slaves\": []").And.Contain("it's here"));
    }

    [Test]
    public void What_the_ruby_gem_wrote_is_read()
    {
        Topology topology = Parse("""{"master":"10.0.0.1:6379","slaves":["[::1]:6380"],"unavailable":[]}""");

        Assert.Multiple(() =>
        {
            Assert.That(topology.Master, Is.EqualTo(A));
            Assert.That(topology.Replicas.AsEnumerable(), Is.EqualTo([B]));
            Assert.That(topology.State, Is.EqualTo(TopologyState.Ok));
            Assert.That(topology.Epoch, Is.Zero);
        });
    }

    [TestCase("", "is not JSON")]
    [TestCase("{\"master\":", "is not JSON")]
    [TestCase("[]", "not an object")]
    [TestCase("{}", "neither \"master\" nor \"slaves\"")]
    [TestCase("{\"master\":7}", "\"master\" is 7; allowed: a string or null")]
    [TestCase("{\"master\":\"nonsense\"}", "'nonsense', which is not host:port")]
    [TestCase("{\"master\":\"::1:6379\"}", "which is not host:port")]
    [TestCase("{\"master\":null,\"slaves\":\"a:1\"}", "allowed: a list of host:port")]
    [TestCase("{\"master\":null,\"slaves\":[1]}", "holds 1, which is not host:port")]
    [TestCase("{\"master\":null,\"epoch\":\"x\"}", "\"epoch\" is \"x\"; allowed: a whole number")]
    [TestCase("{\"master\":null,\"epoch\":-1}", "allowed: 0 to")]
    [TestCase("{\"master\":null,\"state\":\"dancing\"}", "allowed: ok, failing-over, switching-over, no-master")]
    [TestCase("{\"master\":\"a:1\",\"state\":\"failing-over\"}", "contradict")]
    [TestCase("{\"master\":null,\"state\":\"ok\"}", "contradict")]
    [TestCase("{\"master\":null,\"changedAt\":\"yesterday\"}", "ISO 8601")]
    [TestCase("{\"master\":null,\"reason\":\"\\ud800\"}", "not readable")]
    [TestCase("{\"master\":null,\"remarks\":{\"a:1\":\"x\",\"A:1\":\"y\"}}", "not readable")]
    [TestCase("{\"master\":null,\"epoch\":9223372036854775807}", "allowed: 0 to")]
    public void What_is_no_topology_is_refused_with_a_word(string text, string word)
        => Assert.That(() => Parse(text), Throws.TypeOf<FormatException>().With.Message.Contains(word));

    [Test]
    public void Two_topologies_are_equal_when_their_contents_are()
    {
        Topology one = Parse("""{"master":"a:1","slaves":["b:1","c:1"]}""");
        Topology same = Parse("""{"master":"a:1","slaves":["b:1","c:1"]}""");

        Assert.Multiple(() =>
        {
            Assert.That(one, Is.EqualTo(same));
            Assert.That(one with { Replicas = [] }, Is.Not.EqualTo(same));
        });
    }

    private static Topology Parse(string text) => TopologyJson.Parse(Encoding.UTF8.GetBytes(text));
}
