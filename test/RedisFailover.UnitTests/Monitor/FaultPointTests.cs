using System.Collections;
using NUnit.Framework;
using RedisFailover.Monitor.Hosting;
using RedisFailover.Monitor.Options;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class FaultPointTests
{
    [Test]
    public void Without_the_variable_there_is_none()
        => Assert.That((FaultPoint.Read(new Hashtable()), Read("")), Is.EqualTo(((FaultPoint?)null, (FaultPoint?)null)));

    [TestCase("kill:before-intent")]
    [TestCase("freeze:sent-promotion")]
    [TestCase("kill:after-demotion")]
    public void A_place_and_what_happens_there_are_taken_as_given(string given) => Assert.That(Read(given)!.ToString(), Is.EqualTo(given));

    [TestCase("kill")]
    [TestCase("kill:")]
    [TestCase("kill:sent-intent")]
    [TestCase("stop:after-intent")]
    [TestCase("kill:after-intent:2")]
    [TestCase("after-intent")]
    public void Anything_else_is_refused_with_what_is_allowed(string given)
        => Assert.That(
            () => Read(given),
            Throws.TypeOf<OptionException>()
                .With.Message.StartsWith($"REDIS_FAILOVER_FAULT_POINT (for tests alone): '{given}' is not allowed; allowed: kill:PLACE"));

    private static FaultPoint? Read(string value) => FaultPoint.Read(new Hashtable { [FaultPoint.Variable] = value });
}
