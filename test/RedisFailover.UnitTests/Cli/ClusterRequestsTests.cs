using System.Text;
using NUnit.Framework;
using RedisFailover.Cli.Cluster;
using RedisFailover.UnitTests.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class ClusterRequestsTests
{
    [Test]
    public async Task An_answer_whose_read_meets_a_lost_connection_is_read_again()
    {
        await using var server = new FakeServer();
        (ZooKeeperSession session, FakeConnection connection) = await server.EstablishAsync();
        await using ZooKeeperSession owned = session;
        var requests = new ClusterRequests(
            new EnsembleSession(session, server.Options().Connection, TimeSpan.FromMinutes(1)), new ZnodePaths("/r"));
        Task<RequestAnswer> answer = requests.AnswerAsync("request-1", CancellationToken.None);
        await connection.ReadAsync(OpCode.GetData);
        connection.Close();
        connection = await server.AcceptSessionAsync();
        byte[] answered = new OperatorRequest("") { Answer = new RequestAnswer(RequestOutcome.Done, "as asked", null, 3) }.Write();
        await connection.ReplyDataAsync(await connection.ReadNextAsync(OpCode.GetData), Encoding.UTF8.GetString(answered));
        Assert.That((await answer.WithinDeadline()).Reason, Is.EqualTo("as asked"));
    }
}
