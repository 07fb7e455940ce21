using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using NUnit.Framework;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.UnitTests.Client;

/// <summary>What a call is told after a failure, by what is known of it.</summary>
[TestFixture]
public sealed class RetriesTests
{
    private static readonly Exception s_unanswered = new OperationCanceledException();
    private readonly LiveNode _node = (LiveNode)RuntimeHelpers.GetUninitializedObject(typeof(LiveNode));

    [TestCase("Write")]
    [TestCase("Unsure")]
    public async Task What_may_write_is_not_repeated_when_its_reply_never_came(string kind)
    {
        await using NodeSet nodes = Nodes();
        var retries = new Retries(nodes, Enum.Parse<CommandClass>(kind));
        Assert.That(async () => await retries.AfterAsync(s_unanswered, _node), Throws.TypeOf<MayHaveBeenAppliedException>());
    }

    [Test]
    public async Task A_read_is_repeated_until_a_replica_has_refused_it_as_a_write()
    {
        await using NodeSet nodes = Nodes();
        var retries = new Retries(nodes, CommandClass.Read);
        await retries.AfterAsync(s_unanswered, _node);
        await retries.AfterAsync(
            new RedisServerException(RedisErrorKind.ReadOnly, CommandFlags.None, "READONLY You can't write against a read only replica."),
                _node);
        Assert.That(async () => await retries.AfterAsync(s_unanswered, _node), Throws.TypeOf<MayHaveBeenAppliedException>());
    }

    [TestCase("Write", true)]
    [TestCase("Read", false)]
    public async Task When_the_time_is_over_a_call_that_was_sent_before_may_have_been_applied(string kind, bool may)
    {
        await using NodeSet nodes = Nodes(TimeSpan.FromMilliseconds(500));
        var retries = new Retries(nodes, Enum.Parse<CommandClass>(kind), RetryCategory.All);
        await retries.AfterAsync(s_unanswered, _node);
        Assert.That(
            async () => await retries.WaitAsync(nodes.Current.Superseded),
            may ? Throws.TypeOf<MayHaveBeenAppliedException>()
                .With.InnerException.SameAs(s_unanswered) : Throws.TypeOf<NotAppliedException>());
    }

    [Test]
    public async Task A_caller_that_blocks_waits_on_its_own_thread_and_needs_none_of_the_pool()
    {
        await using NodeSet nodes = Nodes(TimeSpan.FromMilliseconds(20));
        var retries = new Retries(nodes, CommandClass.Read) { Blocks = true };
        Task again = RetryLoop.RunAsync(retries.After(_node), s_unanswered, () => retries.NodeAsync(CommandFlags.None));
        Assert.That(again.IsCompleted, Is.True);
        Assert.That(again.Exception!.InnerException, Is.TypeOf<NotAppliedException>());
    }

    [TestCase(CommandFlags.CommandRetryWriteChecked, RetryCategory.None, false)]
    [TestCase(CommandFlags.CommandRetryWriteChecked, RetryCategory.Checked, true)]
    [TestCase(CommandFlags.CommandRetryWriteLastWins, RetryCategory.Checked, false)]
    [TestCase(CommandFlags.CommandRetryWriteLastWins, RetryCategory.LastWins, true)]
    [TestCase(CommandFlags.CommandRetryWriteAccumulating, RetryCategory.LastWins, false)]
    [TestCase(CommandFlags.CommandRetryWriteAccumulating, RetryCategory.All, true)]
    [TestCase(CommandFlags.CommandRetryNever, RetryCategory.LastWins, false)]
    public void A_write_without_a_reply_is_sent_again_by_its_category(CommandFlags command, RetryCategory repeated, bool again)
    {
        var lost = new RedisConnectionException(ConnectionFailureType.SocketClosed, command, "lost", null, CommandStatus.Sent);
        Assert.That(Failures.MayRepeat(lost, CommandFlags.None, repeated), Is.EqualTo(again));
        Assert.That(Failures.MayRepeat(lost, CommandFlags.CommandRetryAlways, repeated), Is.True, "the caller's own flags go first");
        Assert.That(Failures.MayRepeat(lost, CommandFlags.CommandRetryNever, repeated), Is.False, "the caller's own flags go first");
    }

    [TestCase("SET", "No master")]
    [TestCase("EVAL", "No node to read from")]
    [TestCase("A.COMMAND.OF.TOMORROW", "No node to read from")]
    public async Task A_known_write_that_is_executed_goes_where_its_member_goes(string command, string told)
    {
        await using NodeSet nodes = Nodes(TimeSpan.FromMilliseconds(20));
        IDatabase database = new FailoverDatabase(nodes, -1, null);
        Assert.That(()
            => database.Execute(command, ["key", 1], CommandFlags.PreferReplica),
                Throws.TypeOf<NotAppliedException>().With.Message.StartsWith(told));
        Assert.That(
            () => database.Execute(command, ["key", 1], CommandFlags.DemandReplica),
            command == "SET" ? Throws.ArgumentException : Throws.TypeOf<NotAppliedException>());
    }

    [Test]
    public async Task A_command_that_is_not_listed_is_not_repeated_when_its_replica_dies()
    {
        await using var master = new WarmupNode(isMaster: true);
        await using var replica = new WarmupNode(isMaster: false);
        await using NodeSet nodes = Nodes();
        nodes.Apply(new Topology { Epoch = 1, Master = master.Address, Replicas = [replica.Address], State = TopologyState.Ok });
        await nodes.FirstAttempts();
        Task sent = replica.FallSilent(commands: 1);
        Task call = ((IDatabase)new FailoverDatabase(nodes, -1, null))
            .ExecuteAsync("A.COMMAND.OF.TOMORROW", [WarmupNode.Key], CommandFlags.PreferReplica);
        await sent.WaitAsync(TimeSpan.FromSeconds(30));
        await replica.DisposeAsync();
        Assert.That(async () => await call.WaitAsync(TimeSpan.FromSeconds(30)), Throws.TypeOf<MayHaveBeenAppliedException>());
    }

    private static NodeSet Nodes(TimeSpan? wait = null)
        => new(new FailoverOptions { WriteWait = wait ?? TimeSpan.FromSeconds(30) }, NullLogger.Instance);
}
