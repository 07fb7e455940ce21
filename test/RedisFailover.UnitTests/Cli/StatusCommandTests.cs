using System.Collections.Immutable;
using System.Text.Json;
using NUnit.Framework;
using RedisFailover.Cli.Cluster;
using RedisFailover.Cli.Commands;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class StatusCommandTests
{
    private static readonly NodeAddress A = new("a", 1);
    private static readonly DateTimeOffset Now = new(2026, 11, 29, 3, 10, 0, TimeSpan.Zero);
    private static readonly LeaderInfo Leader = new("m1", "host", 1, "today");
    private static readonly Topology Ok =
        new() { Master = A, State = TopologyState.Ok, Epoch = 2, Reason = "all is well", ChangedBy = "m1" };

    [Test]
    public void Each_state_has_its_own_word_on_whether_a_failover_would_work()
    {
        Assert.Multiple(() =>
        {
            Assert.That(Line("failover", Ok, null), Is.EqualTo("failover would NOT work now: no monitor leads; start the monitors"));
            Assert.That(Line("failover", Ok, Leader), Is.EqualTo("failover not known yet: m1 leads and has not told its view"));
            Assert.That(
                Line("failover", Ok with { Master = null, State = TopologyState.FailingOver }, Leader),
                    Is.EqualTo("failover begun and not done yet, writes wait"));
            Assert.That(
                Line("failover", Ok with { Master = null, State = TopologyState.FailingOver }, null),
                Is.EqualTo("failover begun, and no monitor leads that could finish it: start the monitors"));
            Assert.That(
                Line("failover", Ok with { Master = null, State = TopologyState.NoMaster }, Leader),
                    Is.EqualTo("failover not possible: there is no master"));
            Assert.That(Line("failover", Ok with { State = TopologyState.SwitchingOver }, Leader),
                Is.EqualTo("failover not asked now: a switchover is under way"));
        });
    }

    [Test]
    public void It_tells_the_last_change_and_why_a_node_is_left_alone()
    {
        Topology topology = Ok with
        {
            Unavailable = [new NodeAddress("c", 1)],
            Remarks = ImmutableSortedDictionary<NodeAddress, string>.Empty.Add(new NodeAddress("c", 1), "left alone, because"),
            LastChange = new HistoryEntry
            {
                Kind = HistoryKind.Failover, Epoch = 2, From = new NodeAddress("b", 1), To = A, BytesBehind = 12, Reason = "b:1 is lost",
                At = new DateTimeOffset(2026, 11, 22, 3, 0, 0, TimeSpan.Zero),
            },
        };
        Assert.That(Line("note", topology, Leader), Is.EqualTo("note     c:1: left alone, because"));
        Assert.That(Line("last", topology, Leader),
            Is.EqualTo("last     2026-11-22T03:00:00.000Z failover b:1 -> a:1, possible loss 12 bytes: b:1 is lost"));
    }

    [Test]
    public void The_last_change_takes_as_long_as_the_history_says() => Assert.Multiple(() =>
    {
        HistoryEntry change =
            new() { Kind = HistoryKind.Failover, Epoch = 2, To = A, Reason = "b:1 is lost", Millis = [new("total", 9.1)] };
        ClusterState state =
            State(Ok with { LastChange = change }, Leader) with { LastInHistory = change with { Millis = [new("total", 9.8)] } };
        Assert.That(state.LastChange!.Millis, Is.EqualTo(new[] { KeyValuePair.Create("total", 9.8) }));
        // An entry of another change, or none, says nothing of it.
        Assert.That((state with { LastInHistory = change with { Epoch = 1 } }).LastChange, Is.SameAs(change));
        Assert.That((state with { LastInHistory = null }).LastChange, Is.SameAs(change));
    });

    [Test]
    public void What_the_leading_monitor_needs_an_operator_for_is_shown()
    {
        ClusterState state = State(Ok, Leader) with
        {
            Monitors = ImmutableSortedDictionary<string, MonitorReport>.Empty.Add("m1",
                    MonitorReport.None with { Attention = "master a:1 refuses writes" })
                .Add("m2", MonitorReport.None with { Attention = "of no interest" }),
        };
        using var output = new StringWriter();
        StatusCommand.Print(state, Now, output);
        Assert.That(output.ToString(),
            Does.StartWith("CRITICAL needs-operator: master a:1 refuses writes\n").And.Not.Contain("of no interest"));
    }

    [Test]
    public void Problems_come_first_with_since_when_and_what_to_do_and_nothing_is_said_twice()
    {
        Problem problem = Problem.Of(ProblemCatalogue.NoCandidate, "if master a:1 were lost now, nobody could take over (b:1: unavailable)",
                A) with { Since = Now.AddMinutes(-3) };
        ClusterState state =
            State(Ok with { LastChange = new HistoryEntry { Kind = HistoryKind.Failover, Reason = "all is well" } }, Leader) with
        {
            Problems = [problem],
            Monitors = ImmutableSortedDictionary<string, MonitorReport>.Empty.Add(
                "m1", MonitorReport.None with { Failover = new Readiness(false, [], "nobody could take over (b:1: unavailable)") }),
        };
        using var output = new StringWriter();
        StatusCommand.Print(state, Now, output);
        string[] lines = output.ToString().Split('\n');
        Assert.Multiple(() =>
        {
            Assert.That(lines[0], Is.EqualTo($"CRITICAL no-candidate: {problem.Message} (since 2026-11-29T03:07:00.000Z, 3 min)"));
            Assert.That(lines[1], Does.StartWith("         -> Fix what the message says"));
            Assert.That(lines.Count(l => l.Contains("nobody could take over", StringComparison.Ordinal)), Is.EqualTo(1));
            Assert.That(lines.Count(l => l.Contains("all is well", StringComparison.Ordinal)), Is.EqualTo(1));
            Assert.That(lines, Has.Member("failover would NOT work now: see above"));
        });
    }

    [Test]
    public void Without_a_leader_the_list_of_the_last_one_is_not_shown_as_the_present() => Assert.Multiple(() =>
    {
        ClusterState state = State(Ok, null) with { Problems = [new Problem(ProblemCatalogue.NodeUnavailable, [], "long ago")] };
        Assert.That(ClusterProblems.Of(state).Select(p => p.Code), Is.EqualTo(new[] { ProblemCatalogue.NoLeader }));
        Assert.That(ClusterProblems.Of(State(Ok with { Master = null, State = TopologyState.NoMaster }, null)).Select(p => p.Code),
            Does.Contain(ProblemCatalogue.NoMaster));
    });

    [Test]
    public void Why_monitors_that_are_here_do_not_lead_is_told_with_that_nobody_leads() => Assert.Multiple(() =>
    {
        ClusterState here = State(Ok, null) with
        {
            Monitors = ImmutableSortedDictionary<string, MonitorReport>.Empty.Add("m1", MonitorReport.None).Add("m2", MonitorReport.None),
        };
        Assert.That(NoLeader(here).Message, Is.EqualTo("no monitor leads, though m1, m2 are here"));
        Assert.That(ClusterProblems.Failover(here).Text, Does.EndWith("no monitor leads; see no-leader"));

        Problem refused = Problem.OfMonitors(ProblemCatalogue.ZooKeeperRightsMissing, "refused", "m2") with { Advice = "give it" };
        ClusterState denied = here with { Monitors = here.Monitors.SetItem("m2", MonitorReport.None with { Problems = [refused] }) };
        Assert.That((NoLeader(denied).Message, NoLeader(denied).Advice),
            Is.EqualTo(("no monitor leads, though m1, m2 are here: refused", "give it")));

        ClusterState inTheWay = here with { InLeadersPlace = "/r/leader" };
        Assert.That(NoLeader(inTheWay).Message, Does.Contain("/r/leader was put there by somebody"));
        Assert.That(NoLeader(inTheWay).Advice, Does.Contain("zkCli.sh deleteall /r/leader"));

        Problem outside = Problem.OfMonitors(ProblemCatalogue.NotOurCluster, "other names", "m3") with { Advice = "name them alike" };
        ClusterState aside = State(Ok, null) with { Outsiders = [outside] };
        Assert.That((NoLeader(aside).Message, NoLeader(aside).Advice),
            Is.EqualTo(("no monitor leads: m3, connected to ZooKeeper, may not: other names", "name them alike")));
        Assert.That(NoLeader(State(Ok, null)).Message, Does.StartWith("no monitor that watches this cluster is connected to ZooKeeper"));

        static Problem NoLeader(ClusterState state) => ClusterProblems.Of(state).Single(p => p.Code == ProblemCatalogue.NoLeader);
    });

    [Test]
    public void Json_says_whether_a_failover_would_work_also_where_no_monitor_does()
    {
        using JsonDocument json = JsonDocument.Parse(StatusCommand.Json(State(Ok, null)));
        JsonElement failover = json.RootElement.GetProperty("failover");
        Assert.That((failover.GetProperty("possible").GetBoolean(), failover.GetProperty("reason").GetString()),
            Is.EqualTo((false, "would NOT work now: no monitor leads; start the monitors")));
        Assert.That(json.RootElement.GetProperty("problems")[0].GetProperty("code").GetString(), Is.EqualTo("no-leader"));
    }

    [Test]
    public void Check_maps_to_the_codes_of_a_plugin() => Assert.Multiple(() =>
    {
        MonitorReport ready = MonitorReport.None with { Failover = new Readiness(true, [A], "a:1 could take over") };
        ClusterState well =
            State(Ok, Leader) with { Monitors = ImmutableSortedDictionary<string, MonitorReport>.Empty.Add("m1", ready), Problems = [] };
        Assert.That(CheckCommand.Nagios(well),
            Is.EqualTo(
                (0, "REDIS_FAILOVER OK - master a:1, failover would work now: a:1 could take over | problems=0 replicas=0 monitors=1 "
                    + "epoch=2")));
        Assert.That(CheckCommand.Nagios(well with { Problems = [new Problem(ProblemCatalogue.NodeUnavailable, [], "x is|was")] }).Line,
            Does.StartWith("REDIS_FAILOVER WARNING - master a:1, node-unavailable: x is/was | problems=1"));
        Assert.That(CheckCommand.Nagios(well with { Problems = [new Problem(ProblemCatalogue.NoCandidate, [], "x")] }).Code, Is.EqualTo(2));
        Assert.That(CheckCommand.Nagios(State(Ok, null)).Code, Is.EqualTo(2));
    });

    [Test]
    public void What_somebody_mangled_is_said_and_the_rest_is_shown()
    {
        ClusterState state = State(Ok, null) with
        {
            LeaderJson = "rubbish"u8.ToArray(),
            MonitorsJson = ImmutableSortedDictionary<string, ReadOnlyMemory<byte>>.Empty.Add("x", "{\"available\""u8.ToArray()),
            Unreadable = ["/redis_failover/leader is not readable: why", "/redis_failover/monitors/x is not readable: why"],
        };
        using var output = new StringWriter();
        StatusCommand.Print(state, Now, output);
        string[] lines = output.ToString().Split('\n');
        Assert.That(lines,
            Has.Member("master   a:1").And.Member("leader   not known: its znode is not readable")
                .And.Member("warning  znode-unreadable: /redis_failover/monitors/x is not readable: why"));
        Assert.That(lines, Has.Member("failover not known: the leading monitor's znode is not readable"));
        Assert.That(StatusCommand.Json(state), Does.Contain("\"leader\": \"rubbish\"").And.Contain("\"x\": \"{\\\"available\\\"\""));
    }

    private static ClusterState State(Topology topology, LeaderInfo? leader)
        => new() { Topology = topology, TopologyJson = TopologyJson.Write(topology), Leader = leader, LeaderJson = leader is null
            ? default(ReadOnlyMemory<byte>?) : "{}"u8.ToArray() };

    private static string Line(string first, Topology topology, LeaderInfo? leader)
    {
        using var output = new StringWriter();
        StatusCommand.Print(State(topology, leader), Now, output);
        return output.ToString().Split('\n').Single(l => l.StartsWith(first + " ", StringComparison.Ordinal)).TrimEnd();
    }
}
