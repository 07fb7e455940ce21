using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Redis;

namespace RedisFailover.Monitor.Hosting;

/// <summary>
/// Plays a failover and a switchover through the decider, the znode format and the log once at the start, on made-up nodes, and
/// the loss of a node through a prober, on a loopback socket; and throws the outcome away: .NET compiles code when it first runs,
/// and that shall not be in the middle of the first real failover.
/// </summary>
internal static class Rehearsal
{
    /// <summary>How long the whole play may take; what is not played then is compiled when it is needed.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    internal static async Task RunAsync(ILogger quiet, TimeProvider time)
    {
        Decisions(quiet);
        try
        {
            using var limit = new CancellationTokenSource(Limit, time);
            await LossAsync(new MonotonicClock(time), limit.Token);
        }
        catch (Exception e) when (e is SocketException or IOException or TimeoutException or FormatException or OperationCanceledException)
        {
            // A machine without a loopback device can do without the rehearsal.
        }
    }

    /// <summary>A node that answers one command and dies.</summary>
    private static async Task LossAsync(MonotonicClock clock, CancellationToken cancellationToken)
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
            await prober.CommandAsync([["REPLICAOF", "NO", "ONE"]], cancellationToken);
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

    /// <summary>Answers INFO as a replica does, and everything else with OK.</summary>
    private static async Task AnswerAsync(Socket peer, CancellationToken cancellationToken)
    {
        const string Info = "run_id:x\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\n";
        byte[] buffer = new byte[4096];
        int received;
        while ((received = await peer.ReceiveAsync(buffer, cancellationToken)) > 0)
        {
            // Commands are short and come whole over loopback: each begins with its number of words.
            string[] commands = Encoding.ASCII.GetString(buffer, 0, received).Split('*', StringSplitOptions.RemoveEmptyEntries);
            string answers = string.Concat(commands.Select(c => c.Contains("INFO", StringComparison.Ordinal) ? $"${Info.Length}\r\n{Info}\r\n" : "+OK\r\n"));
            await peer.SendAsync(Encoding.ASCII.GetBytes(answers), cancellationToken);
        }
    }

    private static void Decisions(ILogger quiet)
    {
        var transitions = new Transitions(quiet, "rehearsal");
        ImmutableArray<NodeAddress> nodes = [new("a", 1), new("b", 1), new("c", 1)];
        var policy = new FailoverPolicy { Nodes = nodes };
        var view = new ClusterView { Nodes = nodes.ToImmutableSortedDictionary(n => n, n => new NodeView(n)) };
        TimeSpan now = TimeSpan.Zero;
        Observe(new LeadershipGained(now, 1));
        Observe(new TopologyRead(now, -1, null, null, 0, Synced: true));
        Observe(new MonitorReported(now, "other", MonitorReport.Parse(MonitorReport.None.Write())));
        foreach (NodeAddress node in nodes)
        {
            Answer(node, nodes[0], linkUp: true);
        }

        Observe(new OperatorWished(now, nodes[1].ToString()));
        Answer(nodes[0], nodes[0], linkUp: true);
        Answer(nodes[1], nodes[0], linkUp: true);
        Answer(nodes[2], nodes[1], linkUp: true);
        Answer(nodes[0], nodes[1], linkUp: true);
        for (int i = 0; i < policy.MaxFailures; i++)
        {
            Observe(new NodeFailed(now, nodes[1], Evidence.Refused, "rehearsal"));
        }

        Answer(nodes[0], nodes[1], linkUp: false);
        Answer(nodes[2], nodes[1], linkUp: false);
        Observe(new Tick(now));

        void Answer(NodeAddress node, NodeAddress master, bool linkUp)
            => Observe(new NodeAnswered(now, now, node, Info(node, master, linkUp), TimeSpan.Zero));

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
                    queue.Enqueue(Perform(action));
                }
            }
        }

        ActionFinished Perform(FailoverAction action) => action switch
        {
            PublishTopology publication => new ActionFinished(now, action, Version: Written(publication)),
            Promote promote => new ActionFinished(now, action, Info: Info(promote.Node, promote.Node, linkUp: false)),
            Follow follow => new ActionFinished(now, action, Info: Info(follow.Node, follow.Master, linkUp: true)),
            Demote demote => new ActionFinished(now, action, Info: Info(demote.Node, demote.Master, linkUp: true)),
            _ => new ActionFinished(now, action),
        };

        int Written(PublishTopology publication)
        {
            _ = TopologyJson.Parse(TopologyJson.Write(publication.Next));
            _ = HistoryJson.Parse(HistoryJson.Write(publication.Record is { } record ? [record] : []));
            return publication.ExpectedVersion + 1;
        }

        NodeInfo Info(NodeAddress node, NodeAddress master, bool linkUp) => NodeInfo.Parse(
            node == master
                ? $"run_id:{node.Host}\nrole:master\nmaster_replid:{(master == nodes[0] ? "x" : "y")}\nmaster_replid2:{(master == nodes[0] ? "0" : "x")}\n"
                    + "second_repl_offset:10\nmaster_repl_offset:9\ndb0:keys=1,expires=0\n"
                : $"run_id:{node.Host}\nrole:slave\nmaster_host:{master.Host}\nmaster_port:1\nmaster_link_status:{(linkUp ? "up" : "down")}\n"
                    + $"master_replid:{(master == nodes[0] ? "x" : "y")}\nmaster_replid2:{(master == nodes[0] ? "0" : "x")}\nslave_repl_offset:9\ndb0:keys=1,expires=0\n");
    }
}
