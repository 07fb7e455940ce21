using System.Collections.Immutable;
using NUnit.Framework;
using static RedisFailover.ProblemCatalogue;

namespace RedisFailover.UnitTests.Core;

/// <summary>What a leader tells of a state of affairs; each case begins with a master and two replicas in good order.</summary>
[TestFixture]
public sealed class ProblemRulesTests
{
    private static readonly NodeAddress R1 = new("r", 1), R2 = new("r", 2), R3 = new("r", 3);
    private static readonly FailoverPolicy Policy = new() { Nodes = [R1, R2, R3] };
    private static readonly TimeSpan Now = TimeSpan.FromMinutes(5);

    [Test]
    public void In_good_order_there_is_none() => Assert.That(Found(Well()), Is.Empty);

    [Test]
    public void A_replica_that_is_gone_is_told_and_two_of_them_are_no_candidate_left() => Assert.Multiple(() =>
    {
        Assert.That(Codes(Well().With(R3, Gone)), Is.EqualTo(new[] { NodeUnavailable }));
        Assert.That(Codes(Well().With(R2, Gone).With(R3, Gone)), Is.EqualTo(new[] { NoCandidate, NodeUnavailable, NodeUnavailable }));
    });

    [Test]
    public void A_master_that_this_monitor_alone_cannot_reach_is_told()
        => Assert.That(Codes(Well().With(R1, Gone)), Does.Contain(MasterUnreachable));

    [Test]
    public void A_replica_without_a_link_is_told_and_one_that_is_copied_to_is_not() => Assert.Multiple(() =>
    {
        Assert.That(Found(Well().With(R2, n => n with { Info = n.Info! with { LinkUp = false } })).Single().Subjects,
            Is.EqualTo(new[] { "r:2" }));
        Assert.That(Codes(Well().With(R2, n => n with { Info = n.Info! with { LinkUp = false, SyncInProgress = true } })),
            Does.Not.Contain(ReplicaLinkDown));
        // It may be up by now: nodes are asked each third of probe-timeout.
        Assert.That(Found(Well().With(R2, n => n with { LinkDownSince = n.InfoAsked, Info = n.Info! with { LinkUp = false } })), Is.Empty);
        // Without a disk the master waits for other replicas before it begins.
        Assert.That(Codes(Well().With(R1, n => n with { Info = n.Info! with { Replicas = [new ReplicaLink(R2, "wait_bgsave", 0)] } })
            .With(R2, n => n with { Info = n.Info! with { LinkUp = false } })), Does.Not.Contain(ReplicaLinkDown));
        // Its copy has just ended: the master, asked later, says so.
        ClusterView ended = Well().With(R1, n => n with { Info = n.Info! with { Replicas = [new ReplicaLink(R2, "online", 0)] } })
            .With(R2, n => n with { Info = n.Info! with { LinkUp = false } });
        Assert.That(Codes(ended.With(R1, n => n with { InfoAsked = n.InfoAsked + TimeSpan.FromMilliseconds(1) })),
            Does.Not.Contain(ReplicaLinkDown));
        Assert.That(Codes(ended.With(R2, n => n with { InfoAsked = n.InfoAsked + TimeSpan.FromMilliseconds(1) })),
            Does.Contain(ReplicaLinkDown));
    });

    [Test]
    public void What_a_leader_that_reaches_no_node_does_not_see_is_not_told_as_the_nodes_fault()
    {
        ClusterView blind = new[] { R1, R2, R3 }.Aggregate(Well(), (view, node) => view.With(node, n => n with
        {
            Condition = NodeCondition.Unavailable, ProbeFailure = ProbeFailure.Silent, FailingSince = Now, Failures = 3,
        }));
        Assert.That(blind.IsBlind, Is.True);
        Assert.That(Codes(blind), Is.Empty);
    }

    [Test]
    public void That_a_role_is_not_kept_is_told_once_as_the_right_that_is_missing() => Assert.That(
        Codes(Well().With(R2, n => n with { Info = n.Info! with { RoleNotKept = "NOPERM", MissingRights = NodeRights.KeepRole } })),
        Is.EqualTo(new[] { RightsMissing }));

    [TestCase("password", "it asks for a password, and the replica has no masterauth")]
    [TestCase("login", "wrong password, or no such user or one that is switched off: 'repl'")]
    [TestCase("psync", "its user 'repl' may not run psync")]
    [TestCase("elsewhere", null)]
    [TestCase("somebody", null)]
    [TestCase("tls", "its port asks for TLS, and the replica does not speak it")]
    [TestCase("plain", "the replica speaks TLS, and the master's port does not")]
    [TestCase("version", "the replica (redis 6.2.16) cannot read a full copy of redis 7.0.15")]
    [TestCase("network", null)]
    public void Why_the_master_refuses_a_replica_is_told_where_the_nodes_say_it(string cause, string? words)
    {
        FailoverPolicy policy = Policy with { Nodes = [R1, R2, new NodeAddress("10.0.0.3", 1)] };
        ClusterView view = Well()
            .With(R1, n => n with { Info = Master(n.Info!, cause) })
            .With(R2, n => n with { Info = Replica(n.Info! with { LinkUp = false }, cause) });

        Problem[] told = [.. Found(view, policy).Where(p => p.Code == ReplicationRefused)];

        Assert.That(told.Select(p => p.Message),
            Is.EqualTo(words is null ? [] : new[] { $"master r:1 refuses the replication of r:2: {words}" }));

        static NodeInfo Master(NodeInfo info, string cause) => cause switch
        {
            "password" => info with { AsksForPassword = true },
            "login" => info with { Refusals = [new AccessRefusal("repl", null, "10.9.9.9")] },
            "psync" => info with { Refusals = [new AccessRefusal("repl", "psync", "r")] },
            "elsewhere" => info with { Refusals = [new AccessRefusal("repl", null, "10.0.0.3")] },
            "somebody" => info with { Refusals = [new AccessRefusal("app", null, "r")] },
            "tls" => info with { WatchedByTls = true },
            "version" => info with { Software = new ServerSoftware("redis", "7.0.15") },
            _ => info,
        };

        static NodeInfo Replica(NodeInfo info, string cause) => cause switch
        {
            "password" => info with { HasMasterPassword = false },
            "tls" => info with { TlsReplication = false },
            "plain" => info with { TlsReplication = true },
            "version" => info with { Software = new ServerSoftware("redis", "6.2.16") },
            _ => info with { MasterUser = "repl" },
        };
    }

    [Test]
    public void A_node_that_refuses_our_password_is_told_as_such()
        => Assert.That(
            Codes(Well().With(R2, n => n with { ProbeFailure = ProbeFailure.AuthRefused, Detail = "WRONGPASS" })),
                Is.EqualTo(new[] { NodeNotWatched }));

    [TestCase(3, 10, true)]
    [TestCase(2, 10, false, Description = "An operator's mistake, and its repetition.")]
    [TestCase(3, 70, false, Description = "They have nothing to do with each other.")]
    public void A_replica_that_is_put_right_again_and_again_is_commanded_by_somebody_else(int times, int apart, bool told)
    {
        ClusterView view = Well();
        for (int i = 0; i < times; i++)
        {
            TimeSpan at = Now - TimeSpan.FromSeconds(apart * (times - 1 - i));
            view = view.With(R3, n => n with { Info = n.Info! with { MasterAddress = R2 } })
                .Apply(new ActionFinished(at, new Follow(R3, R1)), Policy)
                .With(R3, n => n with { Info = n.Info! with { MasterAddress = R1 } });
        }

        Assert.That(Codes(view), Is.EqualTo(told ? new[] { ForeignController } : []));
    }

    [Test]
    public void Replicas_that_were_detached_or_restarted_are_put_right_by_nobodys_fault()
    {
        ClusterView view = Well();
        for (int i = 0; i < 6; i++)
        {
            view = view.With(R3, n => n with { Info = n.Info! with { MasterAddress = i % 2 == 0 ? NodeInfo.Nowhere : R2, RunId = $"{i}" } })
                .Apply(new ActionFinished(Now, new Follow(R3, R1)), Policy)
                .With(R3, n => n with { Info = n.Info! with { MasterAddress = R1 } });
        }

        Assert.That(Codes(view), Is.Empty);
    }

    [Test]
    public void A_master_that_refuses_our_password_is_critical()
    {
        Problem problem = Found(Well().With(R1, n => n with { ProbeFailure = ProbeFailure.AuthRefused, Detail = "WRONGPASS" })).Single();

        Assert.That((problem.Code, problem.Severity), Is.EqualTo((MasterNotWatched, ProblemSeverity.Critical)));
    }

    [Test]
    public void A_master_that_demands_more_replicas_than_it_has_is_told()
        => Assert.That(
            Codes(Well().With(R1, n => n with { Info = n.Info! with { MinReplicas = new MinReplicas(3, 10), GoodReplicas = 2 } })),
            Is.EqualTo(new[] { MinReplicasUnmet }));

    /// <summary>Redis tells how many are in step where it goes by that: not with a min-replicas-max-lag of 0, which turns it off.</summary>
    [Test]
    public void A_master_that_demands_replicas_and_goes_by_none_is_not_told_to_refuse_writes()
        => Assert.That(
            Codes(Well().With(R1, n => n with { Info = n.Info! with { MinReplicas = new MinReplicas(3, 0), Attached = [R2, R3] } })),
            Is.Empty);

    [Test]
    public void That_the_next_master_would_refuse_writes_is_told_before()
    {
        ClusterView view = Well().With(R3, Gone).With(R2, n => n with { Info = n.Info! with { MinReplicas = new MinReplicas(1, 10) } });

        Problem problem = Found(view).First(p => p.Code == MinReplicasUnmet);

        Assert.That(problem.Message, Does.Contain("r:2 would take over and refuse writes"));
    }

    [Test]
    public void A_replica_that_is_never_promoted_is_in_step_all_the_same()
    {
        var demanding = new MinReplicas(1, 10);
        ClusterView view = Well().With(R2, n => n with { Info = n.Info! with { MinReplicas = demanding } })
            .With(R3, n => n with { Info = n.Info! with { MinReplicas = demanding, Priority = 0 } });

        Assert.That(Found(view), Is.Empty);
    }

    [Test]
    public void Readiness_goes_by_the_masters_last_word_and_not_by_the_topologys()
    {
        ClusterView view = Well().With(R1, n => n with { Info = n.Info! with { Offset = 5000 } })
            .With(R2, n => n with { Info = n.Info! with { LinkUp = false } })
                .With(R3, n => n with { Info = n.Info! with { LinkUp = false } });
        FailoverPolicy strict = Policy with { MaxLag = 1000 };

        Readiness readiness = ReadinessCheck.Of(view, strict, Now)!;

        Assert.That((readiness.Possible, readiness.Reason), Is.EqualTo((false,
            "nobody could take over (r:2: it lacks 4900 bytes, more than max-lag (1000); r:3: it lacks 4900 bytes, more than max-lag "
                + "(1000))")));
        Assert.That(Found(view, strict).Select(p => p.Code), Does.Contain(NoCandidate));
    }

    [Test]
    public void Nodes_that_the_monitors_may_not_promote_are_no_candidates_and_told_as_one_problem()
    {
        ClusterView view = Well().With(R2, n => n with { Info = n.Info! with { MissingRights = NodeRights.ChangeRole } })
            .With(R3, n => n with { Info = n.Info! with { MissingRights = NodeRights.ChangeRole } });

        ImmutableArray<Problem> found = Found(view);

        Assert.That(found.Select(p => p.Code), Is.EquivalentTo(new[] { NoCandidate, RightsMissing }));
        Assert.That(found.First(p => p.Code == RightsMissing).Subjects, Is.EqualTo(new[] { "r:2", "r:3" }));
        Assert.That(ReadinessCheck.Of(view, Policy, Now)!.Reason, Does.Contain("r:2: the monitors may not run replicaof on it"));
    }

    [Test]
    public void Where_all_candidates_memory_is_full_a_failover_is_said_to_be_worth_nothing()
    {
        ClusterView view = Well().With(R2, Full);
        Assert.That(Found(view), Is.Empty, "another one takes writes");

        Problem problem = Found(view.With(R3, Full)).Single();

        Assert.That((problem.Code, problem.Severity), Is.EqualTo((CandidateRefusesWrites, ProblemSeverity.Critical)));
        Assert.That(problem.Message, Does.StartWith("r:2 would take over and refuse writes: it has no memory left"));
        Assert.That(Codes(Well().With(R1, Full)), Is.EqualTo(new[] { MasterOutOfMemory }));
        ClusterView refusing = Well()
            .With(R1, n => n with { OutOfMemoryAt = Now - TimeSpan.FromSeconds(3), Info = n.Info! with { MemoryLeft = 1 << 20 } });
        Assert.That(Codes(refusing), Is.EqualTo(new[] { MasterOutOfMemory }), "what is left is too little for what is written");
    }

    [Test]
    public void A_replica_that_would_evict_keys_as_a_master_is_told_and_a_failover_works()
    {
        ClusterView view = Well().With(R2, n => n with { Info = n.Info! with { IsOverMaxMemory = true } });

        Problem problem = Found(view).Single();

        Assert.That((problem.Code, problem.Severity), Is.EqualTo((MaxMemoryTooSmall, ProblemSeverity.Warning)));
        Assert.That(problem.Subjects, Is.EqualTo(new[] { "r:2" }));
        Readiness readiness = ReadinessCheck.Of(view, Policy, Now)!;
        Assert.That(readiness.Reason, Does.Contain("r:2: after others with as much, as it holds more than its maxmemory"));
        Assert.That(readiness.Hindrance, Is.Null);
    }

    [TestCase("used_memory:1000\nmaxmemory:0", false)]
    [TestCase("used_memory:1000\nmaxmemory:950\nmaxmemory_policy:allkeys-lru", false)]
    [TestCase("used_memory:1000\nmaxmemory:900\nmaxmemory_policy:allkeys-lru", true)]
    [TestCase("used_memory:1000\nmem_not_counted_for_evict:200\nmaxmemory:900", false)]
    public void Whether_a_node_is_over_its_maxmemory(string memory, bool over)
    {
        var info = NodeInfo.Parse(string.Join("\r\n", $"run_id:x\nrole:master\n{memory}".Split('\n')));

        Assert.That(info.IsOverMaxMemory, Is.EqualTo(over));
    }

    [TestCase("connected_clients:37\nmaxclients:40", false)]
    [TestCase("connected_clients:38\nmaxclients:40", true)]
    [TestCase("connected_clients:38", false)]
    public void Whether_a_node_takes_no_more_connections(string clients, bool full)
    {
        string replicas = "slave0:ip=r,port=2,state=online,offset=0,lag=0\nslave1:ip=r,port=3,state=online,offset=0,lag=0";
        var info = NodeInfo.Parse(string.Join("\r\n", $"run_id:x\nrole:master\n{clients}\n{replicas}".Split('\n')));

        Assert.That(info.IsFull, Is.EqualTo(full));
    }

    [Test]
    public void A_leader_without_a_lease_would_carry_out_no_failover()
    {
        Problem lease = Problem.OfMonitors(LeaseNotHeld, "m1 leads and has had no lease for 9 s", "m1");

        Readiness readiness = ReadinessCheck.Of(Well(), Policy, Now, lease)!;

        Assert.That((readiness.Possible, readiness.Reason), Is.EqualTo((false, lease.Message)));
        Assert.That(ProblemRules.OfCluster(Well(), Policy, Now, readiness, new Decision([], null, "well")), Is.Empty,
            "the monitor tells it itself");
    }

    [Test]
    public void One_server_under_two_names_and_a_node_with_too_many_clients_are_told()
    {
        ClusterView twice = Well()
            .With(R3, n
                => new NodeView(n.Address) { ProbeFailure = ProbeFailure.NotRedis, SameServerAs = R2,
                    Detail = "it is the same server as r:2" });
        Assert.That(Codes(twice), Is.EqualTo(new[] { SameServerTwice }));
        Assert.That(Codes(Well().With(R1, n => n with { Info = n.Info! with { ConnectedClients = 10_001 } })),
            Is.EqualTo(new[] { FenceNotSet }));
        Assert.That(Codes(Well().With(R1, n => n with { Info = n.Info! with { ConnectedClients = 3900, ReplyLimit = 1 << 20 } })),
            Is.EqualTo(new[] { FenceNotSet }));
        Assert.That(Codes(Well().With(R1, n => n with { Info = n.Info! with { WithholdsClients = true } })),
            Is.EqualTo(new[] { FenceNotSet }));
    }

    [Test]
    public void How_the_nodes_stand_is_reported_with_lag_link_and_since_when()
    {
        ClusterView view = Well()
            .With(R1, n => n with { Info = n.Info! with { Offset = 1000, Replicas = [new ReplicaLink(R2, "online", 900) { Lag = 1 }] } })
            .With(R3, n => n with { LinkDownSince = Now - TimeSpan.FromSeconds(40), Info = n.Info! with { LinkUp = false } });
        DateTimeOffset wall = DateTimeOffset.UnixEpoch.AddDays(1);

        ImmutableSortedDictionary<NodeAddress, NodeReport> nodes = NodeReports.Of(view, Policy, Now, wall);
        MonitorReport read = MonitorReport.Parse((MonitorReport.None with { Nodes = nodes }).Write());

        Assert.Multiple(() =>
        {
            Assert.That((nodes[R1].Role, nodes[R1].Link, nodes[R1].LagBytes), Is.EqualTo(("master", "", (long?)null)));
            Assert.That((nodes[R2].Link, nodes[R2].LagBytes, nodes[R2].LagSeconds), Is.EqualTo(("up", (long?)100, (int?)1)));
            Assert.That((nodes[R3].Link, nodes[R3].LagBytes, nodes[R3].Since),
                Is.EqualTo(("down", (long?)900, (DateTimeOffset?)wall.AddSeconds(-40))));
            Assert.That(read.Nodes, Is.EquivalentTo(nodes));
            Assert.That(read.SaysTheSameAs(MonitorReport.None with { Nodes = nodes.SetItem(R2, nodes[R2] with { LagBytes = 120 }) }),
                "in step all the same");
            Assert.That(read.SaysTheSameAs(MonitorReport.None with { Nodes = nodes.SetItem(R2, nodes[R2] with { LagBytes = 1 << 20 }) }),
                Is.False);
        });
    }

    [Test]
    public void Too_few_monitors_are_told_once_and_not_as_a_failover_that_is_held_back()
        => Assert.That(Found(Well(), Policy with { RequiredMonitors = 2 }).Select(p => p.Code), Is.EqualTo(new[] { TooFewMonitors }));

    [Test]
    public void Without_a_master_that_is_the_problem()
        => Assert.That(
            Codes(Well() with { Topology = new Topology { State = TopologyState.NoMaster, Reason = "all nodes are empty" } }),
            Does.Contain(NoMaster).And.Not.Contain(NoCandidate));

    [Test]
    public void What_no_rule_names_is_told_by_the_deciders_word_but_not_twice() => Assert.Multiple(() =>
    {
        Problem odd = new(NeedsOperator, [], "the moon is full");
        Assert.That(ProblemRules.OfCluster(Well(), Policy, Now, null, Decided(odd)), Is.EqualTo(new[] { odd }));
        ClusterView waiting =
            Well() with { Topology = new Topology { State = TopologyState.FailingOver, Reason = "waiting for r:2, for 3 s" } };
        Assert.That(ProblemRules.OfCluster(waiting, Policy, Now, null, Decided(odd)).Select(p => p.Code),
            Is.EqualTo(new[] { NeedsOperator }));
        Assert.That(Codes(waiting), Is.EqualTo(new[] { ChangeStalled }));
    });

    [Test]
    public void A_registered_monitor_that_is_away_is_told() => Assert.Multiple(() =>
    {
        ClusterView view = Well() with { Registered = ["m2", "m3"],
                OtherMonitors = ImmutableDictionary<string, MonitorReport>.Empty.Add("m2", MonitorReport.None) };
        Problem problem = Found(view).Single();
        Assert.That((problem.Code, problem.Subjects.Single()), Is.EqualTo((MonitorMissing, "m3")));
    });

    [Test]
    public void Why_another_monitor_does_not_watch_a_node_is_told_as_that_one_finds()
    {
        ClusterView there = Well().With(R3, n => n with { ProbeFailure = ProbeFailure.NotRedis, Detail = "it is the same server as r:2" });
        ClusterView view = Well() with
        {
            OtherMonitors = ImmutableDictionary<string, MonitorReport>.Empty.Add("m2", there.Report()),
        };
        Assert.That(Found(view).Single().Message,
            Is.EqualTo("the monitors differ: m2 does not watch r:3 (it is the same server as r:2); whoever leads goes by its own"));
    }

    [Test]
    public void A_monitor_that_reaches_no_node_says_so_of_itself()
    {
        ClusterView blind = Well().With(R1, Silent).With(R2, Silent).With(R3, Silent);

        Assert.Multiple(() =>
        {
            Assert.That(ProblemRules.OfMonitor("m1", blind, Policy).Select(p => p.Code), Is.EqualTo(new[] { MonitorsBlind }));
            Assert.That(ProblemRules.OfMonitor("m1", Well().With(R1, Silent).With(R2, Silent).With(R3, Gone), Policy), Is.Empty,
                "a port that refuses is an answer");
        });
    }

    private static ProblemCode[] Codes(ClusterView view) => [.. OpenProblems.InOrder(Found(view)).Select(p => p.Code)];

    private static ImmutableArray<Problem> Found(ClusterView view, FailoverPolicy? policy = null)
        => ProblemRules.OfCluster(view, policy
            ?? Policy, Now, ReadinessCheck.Of(view, policy ?? Policy, Now), new Decision([], null, "well"));

    private static Decision Decided(Problem problem) => new Decision([], null, "r") with { Problems = [problem] };

    private static NodeView Full(NodeView node) => node with { Info = node.Info! with { MemoryLeft = 0 } };

    private static NodeView Silent(NodeView node) => Gone(node) with { ProbeFailure = ProbeFailure.Silent };

    private static NodeView Gone(NodeView node)
        => node with { Condition = NodeCondition.Unavailable, ProbeFailure = ProbeFailure.Refused, Failures = Policy.MaxFailures,
            Detail = "connection refused", FailingSince = Now, GoneSince = Now };

    private static ClusterView Well()
    {
        var master = new NodeInfo { Role = NodeRole.Master, RunId = "1", ReplicationId = "h", Offset = 100, Keys = 1, Attached = [R2, R3] };
        var replica = new NodeInfo { Role = NodeRole.Replica, RunId = "2", ReplicationId = "h", Offset = 100, Keys = 1, MasterAddress = R1,
                LinkUp = true };
        return new ClusterView
        {
            Term = 1,
            TopologyKnown = true,
            Topology = new Topology { Master = R1, Replicas = [R2, R3], State = TopologyState.Ok, Epoch = 1, Members = [R1, R2, R3],
                    Identity = master.Identity },
            Nodes = ImmutableSortedDictionary<NodeAddress, NodeView>.Empty
                .Add(R1, Online(R1, master)).Add(R2, Online(R2, replica)).Add(R3, Online(R3, replica with { RunId = "3" })),
        };
    }

    private static NodeView Online(NodeAddress node, NodeInfo info) => new(node)
    {
        Condition = NodeCondition.Online, Info = info, InfoAsked = Now, AnsweredAt = Now, OnlineSince = TimeSpan.FromSeconds(1),
    };
}

/// <summary>Changes to a view, for tests.</summary>
internal static class ViewChanges
{
    internal static ClusterView With(this ClusterView view, NodeAddress node, Func<NodeView, NodeView> change)
        => view with { Nodes = view.Nodes.SetItem(node, change(view.Node(node))) };
}
