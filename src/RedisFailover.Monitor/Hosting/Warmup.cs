using System.Collections.Immutable;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Redis;
using RedisFailover.Monitor.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Plays a failover and a switchover through the decider, the znode format and the log once at the start, on made-up nodes, and
/// the commands to a node and its loss through a prober, on a loopback socket; and throws the outcome away: .NET compiles code when
/// it first runs, and that shall not be in the middle of the first real failover.
/// </summary>
internal static partial class Warmup
{
    [GeneratedRegex(@"\*\d+\r\n")]
    private static partial Regex CommandStart();

    /// <summary>How long the whole play may take; what is not played then is compiled when it is needed.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    private const BindingFlags Declared =
        BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

    private static readonly Type[] Leading =
    [
        typeof(ClusterLoop), typeof(Coordinator), typeof(ActionExecutor), typeof(Candidacy), typeof(ProblemKeeper),
        typeof(TopologyStore), typeof(ConfigStore),
        typeof(RequestInbox), typeof(ProblemStore), typeof(MonitorRegistry),
        typeof(MonitorSeat), typeof(OwnReport), typeof(OtherReports), typeof(NodeReports), typeof(ReadinessCheck),
        typeof(OpenProblems), typeof(ProblemRules), typeof(ProblemJson), typeof(MonitorReport), typeof(Leadership), typeof(LeaderElection),
        typeof(ElectionZnodes), typeof(ElectionTransaction), typeof(LeaderSilence), typeof(Withdrawals), typeof(Withdrawal),
        typeof(LeaseKeeper), typeof(LeaseRenewal), typeof(BeatThread), typeof(OwnResignation), typeof(MeasuredLease), typeof(Lease),
        typeof(MemberRegister), typeof(NodeProbers), typeof(NodeProber), typeof(FencedConnection), typeof(FormerLeaderFence),
        typeof(ClientNames), typeof(NodeCommands),
    ];

    /// <returns>What was played to its end.</returns>
    internal static async Task<ImmutableArray<string>> RunAsync(ILogger quiet, TimeProvider time)
    {
        ImmutableArray<string>.Builder played = ImmutableArray.CreateBuilder<string>();
        played.AddRange(Decisions(quiet));
        try
        {
            using var limit = new CancellationTokenSource(Limit, time);
            await NodeAsync(new MonotonicClock(time), played, limit.Token);
        }
        catch (Exception e) when (e is SocketException or IOException or TimeoutException or FormatException or OperationCanceledException)
        {
            // A machine without a loopback device can do without the rehearsal.
        }

        return played.ToImmutable();
    }

    /// <summary>
    /// Compiles what a monitor runs for the first time when it begins to lead, beside its start. Most of it talks to ZooKeeper, and cannot
    /// be played through before.
    /// </summary>
    internal static void CompileLeading()
        => new Thread(static () =>
        {
            foreach (Type type in Leading.SelectMany(WithNested).Where(t => !t.ContainsGenericParameters))
            {
                foreach (MethodInfo method in type.GetMethods(Declared).Where(m => !m.IsAbstract && !m.ContainsGenericParameters))
                {
                    Prepare(method);
                }
            }
        })
        {
            IsBackground = true, Name = "warm-up",
        }.Start();

    private static void Prepare(MethodInfo method)
    {
        try
        {
            RuntimeHelpers.PrepareMethod(method.MethodHandle);
        }
        catch (Exception)
        {
            // It is compiled when it is needed, as ever.
        }
    }

    private static IEnumerable<Type> WithNested(Type type) => type.GetNestedTypes(Declared).SelectMany(WithNested).Prepend(type);

    /// <summary>A node that is detached, promoted and demoted, and dies.</summary>
    private static async Task NodeAsync(MonotonicClock clock, ImmutableArray<string>.Builder played, CancellationToken cancellationToken)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var node = new NodeAddress("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port);
        var policy = new FailoverPolicy { Nodes = [node] };
        var observations = Channel.CreateUnbounded<Observation>();
        await using var prober = new NodeProber(
            node, new RedisCredentials(null, null), policy, new NodeNames(policy.Nodes, clock.Provider), observations.Writer, clock);
        using (Socket peer = await listener.AcceptSocketAsync(cancellationToken))
        {
            Task answering = AnswerAsync(peer, cancellationToken);
            await observations.Reader.ReadAsync(cancellationToken);
            var commands = new NodeCommands(_ => prober, clock);
            foreach (
                FailoverAction action in (FailoverAction[])[new Inspect(node), new Detach(node), new Promote(node),
                    new Demote(node, node, CutsClients: true)])
            {
                if ((await commands.RunAsync(action, 1, () => true, cancellationToken)).Failure is null)
                {
                    played.Add(action.GetType().Name);
                }
            }

            listener.Stop();
            peer.Shutdown(SocketShutdown.Both);
            await answering;
        }

        int failures = 0;
        while (failures < policy.MaxFailures)
        {
            failures += await observations.Reader.ReadAsync(cancellationToken) is NodeFailed ? 1 : 0;
        }
    }

    /// <summary>Answers INFO as a node does that obeys REPLICAOF, and everything else with OK.</summary>
    private static async Task AnswerAsync(Socket peer, CancellationToken cancellationToken)
    {
        string role = "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\n";
        byte[] buffer = new byte[4096];
        int received;
        while ((received = await peer.ReceiveAsync(buffer, cancellationToken)) > 0)
        {
            // Commands are short and come whole over loopback: each begins with its number of words.
            var answers = new StringBuilder();
            foreach (string command in CommandStart().Split(Encoding.ASCII.GetString(buffer, 0, received)).Skip(1))
            {
                role = command.Contains("NO\r\n", StringComparison.Ordinal) ? "role:master\r\n"
                    : command.Contains("REPLICAOF", StringComparison.Ordinal) ? "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\n"
                    : role;
                string info = $"run_id:x\r\nconnected_clients:1\r\n{role}";
                answers.Append(CultureInfo.InvariantCulture,
                    $"{(command.Contains("INFO", StringComparison.Ordinal) ? $"${info.Length}\r\n{info}" : "+OK")}\r\n");
            }

            await peer.SendAsync(Encoding.ASCII.GetBytes(answers.ToString()), cancellationToken);
        }
    }

    /// <summary>The entries of the history that the play wrote, by their kind.</summary>
    private static List<string> Decisions(ILogger quiet)
    {
        List<string> written = [];
        var transitions = new Transitions(quiet, "rehearsal");
        ImmutableArray<NodeAddress> nodes = [new("a", 1), new("b", 1), new("c", 1)];
        // What each node copies, itself where it is a master; and its histories, the present and the former one.
        Dictionary<NodeAddress, NodeAddress> follows = nodes.ToDictionary(n => n, _ => nodes[0]);
        Dictionary<NodeAddress, (string Present, string Former)> histories = nodes.ToDictionary(n => n, _ => ("x", "0"));
        NodeAddress? dead = null;
        var policy = new FailoverPolicy { Nodes = nodes };
        var view = new ClusterView { Nodes = nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) };
        TimeSpan now = TimeSpan.Zero;
        Observe(new MonitorCame(now, "other"));
        Observe(new MonitorReported(now, "other", MonitorReport.Parse(MonitorReport.None.Write())));
        Observe(new LeadershipGained(now, 1));
        foreach (NodeAddress node in nodes)
        {
            Observe(Answer(node));
        }

        Observe(new OperatorWished(now, nodes[1].ToString()));
        dead = nodes[1];
        for (int i = 0; i < policy.MaxFailures; i++)
        {
            Observe(new NodeFailed(now, dead, ProbeFailure.Refused, "rehearsal"));
        }

        Observe(Answer(nodes[0]));
        Observe(Answer(nodes[2]));
        Observe(new Tick(now));
        return written;

        void Observe(Observation observation)
        {
            var queue = new Queue<Observation>([observation]);
            // Bounded: every action finishes at once, so a play of this length has a few dozen steps.
            for (int i = 0; i < 100 && queue.TryDequeue(out Observation? next); i++)
            {
                now += TimeSpan.FromMilliseconds(1);
                ClusterView before = view;
                view = view.Apply(next, policy);
                Decision decision = FailoverDecider.Decide(view, policy, now);
                view = view.Start(decision.Actions, now);
                transitions.TellNow(before, view, decision, now);
                foreach (FailoverAction action in decision.Actions)
                {
                    now += TimeSpan.FromMilliseconds(1);
                    Perform(action, queue);
                }
            }
        }

        void Perform(FailoverAction action, Queue<Observation> queue)
        {
            switch (action)
            {
                case ReadTopology:
                    queue.Enqueue(new TopologyRead(now, -1, null, null, 0, Synced: true));
                    break;
                case Inspect inspect:
                    queue.Enqueue(Answer(inspect.Node));
                    break;
                case Promote promote:
                    follows[promote.Node] = promote.Node;
                    histories[promote.Node] = (histories[promote.Node].Present + "'", histories[promote.Node].Present);
                    break;
                case Detach detach:
                    follows[detach.Node] = NodeInfo.Nowhere;
                    break;
                case Follow follow:
                    (follows[follow.Node], histories[follow.Node]) = (follow.Master, histories[follow.Master]);
                    break;
                case Demote demote:
                    (follows[demote.Node], histories[demote.Node]) = (demote.Master, histories[demote.Master]);
                    break;
            }

            queue.Enqueue(new ActionFinished(
                now, action, Info: action.On is { } node ? Info(node)
                    : null, Version: action is PublishTopology publication ? Written(publication) : 0) { Asked = now });
        }

        int Written(PublishTopology publication)
        {
            _ = TopologyJson.Parse(TopologyJson.Write(publication.Next));
            written.AddRange(HistoryJson.Parse(HistoryJson.Write(publication.Record is { } record ? [record] : []))
                .Select(e => e.Kind.ToString()));
            return publication.ExpectedVersion + 1;
        }

        NodeAnswered Answer(NodeAddress node) => new(now, now, node, Info(node), TimeSpan.Zero);

        NodeInfo Info(NodeAddress node) => NodeInfo.Parse(
            $"redis_version:7.0.0\nrun_id:{node.Host}\nmaster_replid:{histories[node].Present}\nmaster_replid2:{histories[node].Former}\n"
                + "second_repl_offset:10\nmaster_repl_offset:9\nslave_repl_offset:9\ndb0:keys=1,expires=0\n"
                + (follows[node] is var master && master == node ? "role:master\n"
                    : $"role:slave\nmaster_host:{master.Host}\nmaster_port:{master.Port}\n"
                        + $"master_link_status:{(follows.ContainsKey(master) && master != dead ? "up" : "down")}\n"));
    }
}
