using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace RedisFailover.UnitTests.Scenarios;

/// <summary>
/// Plays a scenario file through the view and the decider and writes what is decided beneath each line. The nodes and the znode of
/// the play are a small model: an action that is let through (<c>ok</c>) changes them as Redis and ZooKeeper would.
/// Lines: see README.txt beside the scenarios.
/// </summary>
internal sealed class Scenario
{
    private readonly StringBuilder _output = new();
    private readonly Dictionary<NodeAddress, NodeInfo> _world = [];
    private readonly List<FailoverAction> _running = [];
    private FailoverPolicy _policy = new() { Nodes = [] };
    private ClusterView _view = new();
    private TimeSpan _now = TimeSpan.Zero;
    private Topology? _znode;
    private string? _mangled;
    private int _version = -1;
    private string? _wish;
    private readonly List<OperatorRequest> _requests = [];
    private int _requested;
    private int _configVersion = -1;
    private string _lastReason = "";
    private string _lastWarning = "";

    /// <summary>The file as it should be: its own lines, each with the outcome beneath.</summary>
    internal static string Play(string text)
    {
        var scenario = new Scenario();
        foreach (string line in text.Split('\n').Where(l => !l.StartsWith("    ", StringComparison.Ordinal)))
        {
            scenario._output.Append(line).Append('\n');
            if (line.Trim().Length > 0 && line[0] != '#')
            {
                scenario.Do(line.Trim());
            }
        }

        return scenario._output.ToString().TrimEnd('\n') + "\n";
    }

    private void Do(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        switch (words[0])
        {
            case "nodes":
                _policy = _policy with { Nodes = [.. words[1..].Select(NodeAddress.Parse)] };
                _view = NewView();
                break;
            case "policy":
                _policy = words[1..].Select(w => w.Split('=')).Aggregate(_policy, Set);
                break;
            case "other":
                // Another monitor process: it knows what the znode says, and nothing else.
                _view = NewView();
                _running.Clear();
                _lastReason = _lastWarning = "";
                break;
            case "lead":
                Observe(new LeadershipGained(_now, int.Parse(words[1], CultureInfo.InvariantCulture)));
                break;
            case "unlead":
                Observe(new LeadershipLost(_now));
                break;
            case "monitor":
                _view = _view.Apply(new MonitorCame(_now, words[1]), _policy);
                Observe(new MonitorReported(_now, words[1], Report(words[2..])));
                break;
            case "gone":
                Observe(new MonitorLeft(_now, words[1]));
                break;
            case "zookeeper":
                Observe(words[1] == "lost" ? new ZooKeeperLost(_now) : new ZooKeeperBack(_now));
                break;
            case "wish":
                _wish = words[1] == "none" ? null : words[1];
                Observe(new OperatorWished(_now, _wish));
                break;
            case "request":
                _requests.Add(Request(words[1..]));
                Observe(new RequestsSeen(_now, [.. _requests]));
                break;
            case "adopt":
                _requests.Add(new OperatorRequest(string.Create(CultureInfo.InvariantCulture, $"request-{++_requested}"))
                {
                    By = "ann",
                    Change = new AdoptNode(NodeAddress.Parse(words[1]), DiscardsItsData: words is [_, _, "discard"]),
                });
                Observe(new RequestsSeen(_now, [.. _requests]));
                break;
            case "znode":
                Znode(line["znode".Length..].Trim());
                break;
            case "wait":
                _now += Millis(words[1]);
                Observe(new Tick(_now));
                break;
            case "ok":
                for (int i = 0; i < (words is [_, "all"] ? 60 : 1) && _running.Count > 0; i++)
                {
                    Finish(null);
                }

                break;
            case "fail":
                Finish(string.Join(' ', words[1..]), refused: true);
                break;
            case "lost":
                // The reply of the oldest action is lost, though it was carried out.
                Finish("no answer in time", carriedOut: true);
                break;
            case "unanswered":
                Finish("no answer in time");
                break;
            default:
                Node(NodeAddress.Parse(words[0]), words[1], words[2..]);
                break;
        }

        _now += TimeSpan.FromMilliseconds(1);
    }

    private ClusterView NewView()
    {
        ClusterView view = new() { Nodes = _policy.Nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) };
        view = _requests.Count > 0 ? view.Apply(new RequestsSeen(_now, [.. _requests]), _policy) : view;
        return _version >= 0 ? view.Apply(ReadZnode(synced: false), _policy) : view;
    }

    private static FailoverPolicy Set(FailoverPolicy policy, string[] setting) => setting switch
    {
        ["max-failures", var n] => policy with { MaxFailures = int.Parse(n, CultureInfo.InvariantCulture) },
        ["required", var n] => policy with { RequiredMonitors = int.Parse(n, CultureInfo.InvariantCulture) },
        ["safety", var s] => policy with { WriteSafety = Enum.Parse<WriteSafetyMode>(s, ignoreCase: true) },
        ["quorum", var n] => policy with { WriteQuorum = int.Parse(n, CultureInfo.InvariantCulture) },
        ["strategy", var s] => policy with { NodeStrategy = Enum.Parse<NodeStrategy>(s, ignoreCase: true) },
        ["among-equals", var s] => policy with { FailoverStrategy = Enum.Parse<FailoverStrategy>(s, ignoreCase: true) },
        ["loading-timeout", var t] => policy with { LoadingTimeout = Millis(t) },
        ["max-staleness", var t] => policy with { MaxReplicaStaleness = Millis(t) },
        ["misconf-timeout", var t] => policy with { MisconfTimeout = Millis(t) },
        ["stable-time", var t] => policy with { StableTime = Millis(t) },
        ["failover-interval", var t] => policy with { FailoverInterval = Millis(t) },
        ["max-lag", var n] => policy with { MaxLag = long.Parse(n, CultureInfo.InvariantCulture) },
        ["never-promote", var n] => policy with { NeverPromote = [NodeAddress.Parse(n)] },
        _ => throw new FormatException($"no such policy: {setting[0]}"),
    };

    private OperatorRequest Request(string[] words)
    {
        var request = new OperatorRequest(string.Create(CultureInfo.InvariantCulture, $"request-{++_requested}"));
        foreach (string word in words)
        {
            request = word switch
            {
                "force" => request with { Force = true },
                "broken" => request with { Fault = "The request is not JSON." },
                _ when word.StartsWith("timeout=", StringComparison.Ordinal) => request with { Timeout = Millis(word[8..]) },
                _ => request with { Target = NodeAddress.Parse(word) },
            };
        }

        return request;
    }

    /// <summary>What the node would say now: a master knows who follows it.</summary>
    private NodeInfo Says(NodeAddress node)
    {
        NodeInfo info = _world[node];
        return info.Role == NodeRole.Replica ? info : info with
        {
            Attached =
                [.. _world.Where(n => n.Value is { Role: NodeRole.Replica, LinkUp: true } replica && replica.MasterAddress == node)
                    .Select(n => n.Key).Concat(info.Replicas.Select(r => r.Replica)).Distinct().Order()],
        };
    }

    private static MonitorReport Report(string[] words)
    {
        var available = ImmutableSortedDictionary<NodeAddress, double>.Empty;
        var unavailable = ImmutableSortedSet<NodeAddress>.Empty;
        bool sees = true;
        bool blind = words.Contains("blind");
        ImmutableSortedDictionary<string, string> settings = words.Where(w => w.Contains('=', StringComparison.Ordinal))
            .Select(w => w.Split('=')).ToImmutableSortedDictionary(w => w[0], w => w[1], StringComparer.Ordinal);
        words = [.. words.Where(w => !w.Contains('=', StringComparison.Ordinal))];
        ImmutableSortedSet<NodeAddress> shut = [.. words.SkipWhile(w => w != "shut").Skip(1).Select(NodeAddress.Parse)];
        words = [.. words.TakeWhile(w => w != "shut").Where(w => w != "blind")];
        foreach (string word in words)
        {
            if (word is "sees" or "misses")
            {
                sees = word == "sees";
            }
            else if (sees)
            {
                available = available.Add(NodeAddress.Parse(word), 0.001);
            }
            else
            {
                unavailable = unavailable.Add(NodeAddress.Parse(word));
            }
        }

        return new MonitorReport(available, unavailable) { IsBlind = blind, Shut = shut, Settings = settings };
    }

    private void Znode(string content)
    {
        _mangled = null;
        if (content == "deleted")
        {
            (_znode, _version) = (null, -1);
        }
        else
        {
            _version++;
            try
            {
                _znode = TopologyJson.Parse(Encoding.UTF8.GetBytes(content));
            }
            catch (FormatException e)
            {
                (_znode, _mangled) = (null, e.Message);
            }
        }

        Observe(ReadZnode(synced: false));
    }

    private TopologyRead ReadZnode(bool synced) => new(_now, _version, _znode, _mangled, 0, synced);

    private void Node(NodeAddress node, string verb, string[] words)
    {
        const string Asked = "asked=";
        TimeSpan asked = _now - Millis(words.FirstOrDefault(w => w.StartsWith(Asked, StringComparison.Ordinal))?[Asked.Length..] ?? "0ms");
        words = [.. words.Where(w => !w.StartsWith(Asked, StringComparison.Ordinal))];
        if (verb is "is" or "answers")
        {
            _world[node] = Info(node, _world.GetValueOrDefault(node), words);
        }

        Observe(verb switch
        {
            "is" => new Tick(_now),
            "answers" => new NodeAnswered(_now, asked, node, Says(node), TimeSpan.FromMilliseconds(1)),
            "shut" => new NewConnectionTried(_now, node, ProbeFailure.Silent, "no connection within 1000 ms"),
            "paused" => new NewConnectionTried(_now, node, ProbeFailure.WritesHeld, "CLIENT PAUSE"),
            "open" => new NewConnectionTried(_now, node, null, ""),
            "beats" => new NodeBeat(_now, node, TimeSpan.FromMilliseconds(1)),
            _ => new NodeFailed(_now, node, Failure(verb), $"{verb}"),
        });
    }

    private static ProbeFailure Failure(string verb) => verb switch
    {
        "denied" => ProbeFailure.AuthRefused,
        "nonsense" => ProbeFailure.NotRedis,
        _ => Enum.Parse<ProbeFailure>(verb, ignoreCase: true),
    };

    private static NodeInfo Info(NodeAddress node, NodeInfo? before, string[] words)
    {
        NodeInfo info = before
            ?? new NodeInfo { Role = NodeRole.Master, RunId = $"? {node}", ConfigFile = $"{node}.conf", Version = "7.0.15",
                MinReplicas = MinReplicas.Default };
        foreach (string word in words)
        {
            string[] setting = word.Split('=');
            info = setting switch
            {
                ["master"] => info with { Role = NodeRole.Master, MasterAddress = null, LinkUp = false },
                ["replica"] => info with { Role = NodeRole.Replica, LinkUp = true },
                ["of", var master] => info with { MasterAddress = NodeAddress.Parse(master) },
                ["link", var link] => info with { LinkUp = link == "up" },
                ["silent", var seconds] => info with { LinkSilentFor = TimeSpan.FromSeconds(int.Parse(seconds, CultureInfo.InvariantCulture)) },
                ["sync", var sync] => info with { SyncInProgress = sync == "yes" },
                ["copy", var copy] => info with { CopyBrokeOff = copy == "broken" },
                ["disk", var disk] => info with { SavePoints = disk == "yes" ? "3600 1" : "" },
                ["aof", var on] => info with { AppendsOnly = on != "no", AppendsAll = on == "yes",
                    AppendedBase = on == "no" ? null : on == "lost" ? 0 : 90,
                    AppendedBytes = on == "no" ? null : on == "lost" ? 60 : 10_000 },
                ["appended", var bytes] => info with { AppendedBytes = long.Parse(bytes, CultureInfo.InvariantCulture) },
                ["loaded", var keys] => info with { LoadedKeys = long.Parse(keys, CultureInfo.InvariantCulture) },
                ["fails-over", var isSo] => info with { FailsOver = isSo == "yes" },
                ["ends-in", var left] => info with { ShutsDownIn = TimeSpan.FromSeconds(int.Parse(left, CultureInfo.InvariantCulture)) },
                ["down-for", var seconds]
                    => info with { LinkDownFor = TimeSpan.FromSeconds(int.Parse(seconds, CultureInfo.InvariantCulture)) },
                ["up", var up] => info with { Uptime = TimeSpan.FromSeconds(int.Parse(up, CultureInfo.InvariantCulture)) },
                ["copied-by", var replicas] => info with
                {
                    Replicas = [.. replicas.Split(',').Select(r => new ReplicaLink(NodeAddress.Parse(r), "online", 0))],
                },
                ["managed-by", var name] => info with { Controllers = [new Controller(name == "sentinel" ? ControllerKind.Sentinel : ControllerKind.Leader, name, "x:1")] },
                ["stale-reads", var stale] => info with { ServesStaleData = stale == "yes" },
                ["file", var file] => info with { ConfigFile = file },
                ["dir", var dir] => info with { SnapshotFile = dir },
                ["run", var run] => info with { RunId = run },
                ["repl", var id] => info with { ReplicationId = id },
                ["prev", var id] => info with { PreviousReplicationId = id },
                ["end", var end] => info with { PreviousHistoryEnd = long.Parse(end, CultureInfo.InvariantCulture) },
                ["offset", var offset] => info with { Offset = long.Parse(offset, CultureInfo.InvariantCulture) },
                ["keys", var keys] => info with { Keys = long.Parse(keys, CultureInfo.InvariantCulture) },
                ["redis", var version] => info with { Software = new ServerSoftware("redis", version) },
                ["backlog", var from] => info with { BacklogFrom = long.Parse(from, CultureInfo.InvariantCulture) },
                ["version", var version] => info with { Version = version },
                ["max-lag", var seconds] => info with { MinReplicas =
                    (info.MinReplicas ?? MinReplicas.Default) with { MaxLag = int.Parse(seconds, CultureInfo.InvariantCulture) } },
                ["min", "unknown"] => info with { MinReplicas = null },
                ["min", var min] => info with { MinReplicas = new MinReplicas(int.Parse(min, CultureInfo.InvariantCulture), 10) },
                ["saves", var saves] => info with { SaveFailed = saves == "fail", StopsWritesOnSaveError = true },
                ["appends", var appends] => info with { AppendFailed = appends == "fail" },
                ["lacks", var commands] => info with
                {
                    MissingRights = NodeRight.All.Where(r => commands.Split(',').Contains(r.Command))
                        .Aggregate(NodeRights.None, (missing, r) => missing | r.Right),
                },
                ["memory", var memory] => info with { MemoryLeft = memory == "full" ? 0 : null, IsOverMaxMemory = memory == "over" },
                ["errors", var errors] => info with { StreamErrors = long.Parse(errors, CultureInfo.InvariantCulture) },
                ["databases", var count] => info with { Databases = int.Parse(count, CultureInfo.InvariantCulture) },
                ["priority", var priority] => info with { Priority = int.Parse(priority, CultureInfo.InvariantCulture) },
                _ => throw new FormatException($"nothing is known of '{word}'"),
            };
        }

        return info;
    }

    private void Finish(string? failure, bool carriedOut = false, bool refused = false)
    {
        FailoverAction action = _running[0];
        _running.RemoveAt(0);
        string outcome = failure is null ? "ok" : "failed";
        _output.Append(CultureInfo.InvariantCulture, $"    {outcome}: {action}\n");
        if (failure is null || carriedOut)
        {
            Carry(action, failure is null);
        }

        if (failure is not null)
        {
            Observe(new ActionFinished(_now, action, failure) { Refused = refused });
        }
    }

    private void Carry(FailoverAction action, bool answered)
    {
        NodeInfo? info = null;
        switch (action)
        {
            case ReadTopology:
                Observe(ReadZnode(synced: true));
                break;
            case PublishTopology publication when publication.ExpectedVersion == _version:
                (_znode, _mangled) = (publication.Next, null);
                _version++;
                _wish = publication.ClearsWish ? null : _wish;
                Answered(publication.Request);
                break;
            case PublishTopology:
                Observe(new ActionFinished(_now, action, "BadVersion"));
                return;
            case Inspect inspect:
                Observe(new NodeAnswered(_now, _now, inspect.Node, Says(inspect.Node), TimeSpan.FromMilliseconds(1)));
                break;
            case Promote promote:
                NodeInfo old = _world[promote.Node];
                info = _world[promote.Node] = old.Role == NodeRole.Master ? old : old with
                {
                    Role = NodeRole.Master,
                    MasterAddress = null,
                    LinkUp = false,
                    PreviousReplicationId = old.ReplicationId,
                    PreviousHistoryEnd = old.Offset + 1,
                    ReplicationId = old.ReplicationId + "'",
                };
                break;
            case Detach detach:
                info = _world[detach.Node] = _world[detach.Node] with
                {
                    Role = _view.Node(detach.Node).IsMaster
                        ? NodeRole.Replica
                        : _world[detach.Node].Role, MasterAddress = NodeInfo.Nowhere, LinkUp = false, SyncInProgress = false,
                };
                break;
            case Follow follow:
                info = Attach(follow.Node, follow.Master);
                break;
            case Demote demote:
                Attach(demote.Node, demote.Master);
                info = Set(demote.Node, demote.MinReplicas);
                break;
            case ResumeWrites resume:
                info = Set(resume.Node, resume.MinReplicas);
                break;
            case RefuseWish { Request: { } step }:
                Answered(step);
                break;
            case AnswerRequest answer:
                Answered(answer.Step);
                break;
            case PublishConfig config:
                Answered(config.Request);
                Observe(new ActionFinished(_now, action, Version: ++_configVersion) { WrittenConfig = config.Next });
                return;
            case RefuseWish:
                _wish = null;
                break;
            case SetMinReplicas set:
                _world[set.Node] = _world[set.Node] with { MinReplicas = set.Value };
                info = Says(set.Node);
                break;
            case PauseWrites pause:
                info = Says(pause.Node);
                break;
        }

        if (answered)
        {
            Observe(new ActionFinished(_now, action, Info: info, Version: action is PublishTopology ? _version : -1));
        }
    }

    private void Answered(RequestStep? step)
    {
        if (step?.Answer is { } answer)
        {
            _requests.RemoveAll(r => r.Id == step.Request.Id);
            _output.Append(CultureInfo.InvariantCulture,
                $"    answered {step.Request.Id}: {answer.Outcome.ToString().ToLowerInvariant()}, master "
                    + $"{answer.Master?.ToString() ?? "none"}\n");
        }
    }

    private NodeInfo Set(NodeAddress node, int? minReplicas)
    {
        NodeInfo info = _world[node];
        _world[node] = minReplicas is { } count
            ? info with { MinReplicas = (info.MinReplicas ?? MinReplicas.Default) with { Count = count } } : info;
        return Says(node);
    }

    private NodeInfo Attach(NodeAddress node, NodeAddress master) => _world[node] = _world[node] with
    {
        Role = NodeRole.Replica,
        MasterAddress = master,
        LinkUp = true,
        ReplicationId = _world[master].ReplicationId,
        PreviousReplicationId = _world[master].PreviousReplicationId,
        PreviousHistoryEnd = _world[master].PreviousHistoryEnd,
        Offset = _world[master].Offset,
        Keys = _world[master].Keys,
    };

    private void Observe(Observation observation)
    {
        _view = _view.Apply(observation, _policy);
        Decision decision = FailoverDecider.Decide(_view, _policy, _now);
        foreach (string broken in Invariants.Broken(_view, _policy, _now, decision))
        {
            _output.Append(CultureInfo.InvariantCulture, $"    BROKEN: {broken}\n");
        }

        _view = _view.Start(decision.Actions, _now);
        _running.AddRange(decision.Actions);
        if (decision.Reason != _lastReason || !decision.Actions.IsEmpty)
        {
            _output.Append(CultureInfo.InvariantCulture, $"    {decision.Reason}\n");
        }

        _lastReason = decision.Reason;
        foreach (FailoverAction action in decision.Actions)
        {
            _output.Append(CultureInfo.InvariantCulture, $"    -> {action}\n");
        }

        if (decision.Warning is { } warning && warning != _lastWarning && warning != decision.Reason)
        {
            _output.Append(CultureInfo.InvariantCulture, $"    ! {warning}\n");
        }

        _lastWarning = decision.Warning ?? "";
        foreach (HistoryEntry record in decision.Actions.Select(Record).OfType<HistoryEntry>())
        {
            string behind = record.BytesBehind is { } bytes ? string.Create(CultureInfo.InvariantCulture, $", {bytes} bytes behind") : "";
            _output.Append(CultureInfo.InvariantCulture,
                $"    history: {record.Kind.ToString().ToLowerInvariant()} {record.From}->{record.To}{behind}\n");
        }
    }

    private static HistoryEntry? Record(FailoverAction action) => action switch
    {
        PublishTopology publication => publication.Record,
        Demote demote => demote.Record,
        Follow follow => follow.Record,
        RefuseWish refusal => refusal.Record,
        _ => null,
    };

    private static TimeSpan Millis(string text)
        => TimeSpan.FromMilliseconds(double.Parse(text.Replace("ms", "", StringComparison.Ordinal), CultureInfo.InvariantCulture));
}
